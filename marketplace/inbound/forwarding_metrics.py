"""How forwarding to the salons' own addresses goes."""

from prometheus_client import Counter

FORWARDINGS = Counter(
    "marketplace_forwarded_total",
    "Attempts to forward a client's message, and messages given up.",
    ["outcome"],
)
