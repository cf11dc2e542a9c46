"""The operator's address: YClients delivers its notifications through us (POST /yclients/messages/)."""

from config.shared.endpoints import Endpoint, django_view
from marketplace.notifications import format, intake

OPERATOR = Endpoint(name="operator", max_body=format.MAX_BYTES, handle=intake.handle, refuse=intake.refuse)
messages = django_view(OPERATOR)
