"""The addresses to which YClients posts webhooks; some senders probe them with GET."""

from config.shared.endpoints import Endpoint, django_view, json_answer
from marketplace.webhooks import bodies, intake

WEBHOOKS = Endpoint(
    name="webhooks",
    max_body=bodies.MAX_BYTES,
    handle=intake.handle,
    refuse=intake.refuse,
    probe=json_answer(200, {"success": True}),
)
webhook = django_view(WEBHOOKS)
