"""Where YClients may send a salon owner's browser through us: to its own pages and nowhere else."""

from urllib.parse import urlsplit

from django.conf import settings

OWN_DOMAINS = ("yclients.com", "alteg.io", "altegio.com")
MAX_LENGTH = 1000


def safe_redirect(location: str) -> str:
    """Return `location` when it is an absolute address of YClients or Altegio, else the marketplace's page.

    A host that the YCLIENTS_* settings name counts as theirs, plain http only there.
    """
    return location if _is_theirs(location) else str(settings.YCLIENTS_MARKETPLACE_PAGE)


def _is_theirs(location: str) -> bool:
    if not location.isascii() or not location.isprintable() or len(location) > MAX_LENGTH or "\\" in location:
        return False
    try:
        parts = urlsplit(location)
        host = (parts.hostname or "").rstrip(".").lower()
        port = parts.port
    except ValueError:
        return False
    if not host or "@" in parts.netloc or " " in location:
        return False
    for known in (
        settings.YCLIENTS_API_URL,
        settings.YCLIENTS_MARKETPLACE_URL,
        settings.YCLIENTS_MARKETPLACE_PAGE,
    ):
        named = urlsplit(known)
        if host == named.hostname and parts.scheme in ("https", named.scheme):
            return True
    own = any(host == domain or host.endswith(f".{domain}") for domain in OWN_DOMAINS)
    return own and parts.scheme == "https" and port in (None, 443)
