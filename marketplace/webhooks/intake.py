"""Webhooks from YClients: who may send what, kept before it is answered, a repeat recognised.

A lifecycle event is authentic when it carries our partner token. An entity event carries nothing, so it is
taken only on a salon's own unguessable address, and only about that salon.
"""

import hmac
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog
from django.conf import settings
from django.db import DatabaseError
from django.db.models import Max
from django.utils import timezone
from rest_framework.serializers import Serializer, ValidationError

from marketplace.models import Company, InboundWebhook, MarketplaceEvent
from marketplace.salons.webhook_secrets import companies_by_secret
from marketplace.webhooks import bodies, processing
from marketplace.webhooks.serializers import EntitySerializer, LifecycleSerializer
from marketplace.webhooks.store import Received, keep_all
from whatsapp.messages import status_changes

log = structlog.get_logger("webhooks")

Kind = InboundWebhook.Kind
State = InboundWebhook.State
Type = MarketplaceEvent.Type

# The sender's retries come within minutes; without a time of change in the body only they are repeats.
REPEAT_WINDOW = 600  # seconds
# A process that dies between keeping and applying leaves the row to the worker after this time.
TAKEOVER = timedelta(seconds=30)
# What changes a salon's standing, and the changes that each lifecycle event itself makes.
STANDING = (
    Type.REGISTRATION_STARTED,
    Type.INTEGRATION_ACTIVATED,
    Type.FROZEN,
    Type.UNFROZEN,
    Type.UNINSTALL_DENIED,
    Type.UNINSTALLED,
)
OWN_EFFECTS: dict[str, tuple[str, ...]] = {
    "uninstall": (Type.FROZEN, Type.UNINSTALLED),
    "freeze": (Type.FROZEN,),
    "payment": (Type.UNFROZEN,),
}

# Making the fields costs more than checking with them, and they keep nothing of what they check.
LIFECYCLE = LifecycleSerializer()
ENTITY = EntitySerializer()


class Refused(Exception):
    """The sender may not say this here."""


@dataclass(frozen=True, slots=True)
class VerifiedWebhook:
    """A body as it came, and the secret in the address that it came to, if any."""

    body: dict[str, Any]
    secret: str = ""


@dataclass(frozen=True, slots=True)
class Checked:
    """A body whose sender may say it, and what of it makes its key."""

    kind: Kind
    salon_id: int
    name: str
    body: dict[str, Any]
    key: tuple[Any, ...]


Answer = Received | Refused | bodies.BadBody | DatabaseError


def receive(*, body: dict[str, Any], secret: str = "") -> Received:
    """Check who sent `body` and keep it once. `secret` is the one in the address, if any.

    Raises bodies.BadBody, Refused, DatabaseError.
    """
    [answer] = receive_all([VerifiedWebhook(body, secret)])
    if isinstance(answer, Exception):
        raise answer
    return answer


def receive_all(arrivals: list[VerifiedWebhook]) -> list[Answer]:
    """Check and keep several bodies with the statements and the one commit of a single body.

    Returns for each what `receive` would return or raise. Raises DatabaseError when none could be kept.
    """
    addresses = companies_by_secret(arrival.secret for arrival in arrivals)
    answers: list[Answer | Checked] = [_checked(arrival, addresses) for arrival in arrivals]
    rows = _rows([answer for answer in answers if isinstance(answer, Checked)])
    kept = iter(keep_all(rows) if rows else [])
    if any(row.kind == Kind.ENTITY and row.next_attempt_at for row in rows):
        status_changes.wake_workers_soon()  # a worker applies them
    return [next(kept) if isinstance(answer, Checked) else answer for answer in answers]


def _checked(arrival: VerifiedWebhook, addresses: dict[str, Company]) -> Checked | Refused | bodies.BadBody:
    company = addresses.get(arrival.secret)
    try:
        if _kind(arrival.body) == Kind.LIFECYCLE:
            return _checked_lifecycle(arrival.body, on_address_of=company)
        if company is None:
            raise Refused("entity event without a salon's address")
        return _checked_entity(arrival.body, company)
    except (Refused, bodies.BadBody) as error:
        return error


def replay(*, webhook: InboundWebhook) -> None:
    """Let a worker apply the webhook again, whatever became of it, as if it had just arrived."""
    processing.WEBHOOKS.replay(InboundWebhook.objects.filter(pk=webhook.pk))
    webhook.refresh_from_db()


def kind_of(body: dict[str, Any]) -> str:
    """Return the kind for a metric; `unknown` for a body that is neither."""
    try:
        return _kind(body)
    except bodies.BadBody:
        return "unknown"


def _kind(body: dict[str, Any]) -> str:
    if "resource" in body:
        return Kind.ENTITY
    if "event" in body or "event_type" in body:
        return Kind.LIFECYCLE
    raise bodies.BadBody("The body is neither a lifecycle event nor an entity event.")


def _checked_lifecycle(body: dict[str, Any], *, on_address_of: Company | None) -> Checked:
    if not _has_our_token(body):
        raise Refused("lifecycle event without our partner token")
    event = body.get("event") or body.get("event_type")
    said = _envelope(LIFECYCLE, {**body, "event": event})
    if said["application_id"] != settings.YCLIENTS_APPLICATION_ID:
        raise Refused("lifecycle event of another application")
    salon_id, event = said["salon_id"], said["event"].lower()
    if on_address_of is not None and on_address_of.salon_id != salon_id:
        raise Refused("lifecycle event on another salon's address")
    cleaned = bodies.clean(body, secret=settings.YCLIENTS_PARTNER_TOKEN)
    return Checked(Kind.LIFECYCLE, salon_id, event, cleaned, (bodies.digest(cleaned),))


def _checked_entity(body: dict[str, Any], company: Company) -> Checked:
    said = _envelope(ENTITY, body)
    if said["company_id"] != company.salon_id:
        raise Refused("entity event about another salon")
    cleaned = bodies.clean(body, secret=settings.YCLIENTS_PARTNER_TOKEN)
    data = cleaned.get("data")
    changed = data.get("last_change_date") if isinstance(data, dict) else None
    when = str(changed)[:40] if changed else f"{int(time.time()) // REPEAT_WINDOW}"
    status = said.get("status")
    key = (company.salon_id, said["resource"], said.get("resource_id"), status, when, data)
    name = f"{said['resource']}.{status or ''}".rstrip(".")
    return Checked(Kind.ENTITY, company.salon_id, name, cleaned, key)


def _rows(checked: list[Checked]) -> list[InboundWebhook]:
    salon_ids = {one.salon_id for one in checked}
    companies = Company.objects.only("salon_id").in_bulk(salon_ids, field_name="salon_id")
    changes = _last_changes({one.salon_id for one in checked if one.kind == Kind.LIFECYCLE})
    return [_row(one, companies.get(one.salon_id), changes) for one in checked]


def _row(one: Checked, company: Company | None, changes: dict[int, dict[str, int]]) -> InboundWebhook:
    now = timezone.now()
    if one.kind == Kind.ENTITY:
        # Hashed, because the parts are the sender's and of any length.
        key = f"entity:{one.salon_id}:{bodies.digest(one.key)}"
        due_at = now if processing.has_effect(kind=one.kind, name=one.name) else None
    else:
        key = f"lifecycle:{one.salon_id}:{one.name}:{_since(one, changes)}:{one.key[0]}"
        due_at = now + TAKEOVER if processing.has_effect(kind=one.kind, name=one.name) else None
    return InboundWebhook(
        kind=one.kind,
        dedupe_key=key,
        salon_id=one.salon_id,
        company=company,
        name=one.name,
        body=one.body,
        state=State.RECEIVED if due_at else State.IGNORED,
        next_attempt_at=due_at,
    )


def _has_our_token(body: dict[str, Any]) -> bool:
    given, ours = body.get("partner_token"), settings.YCLIENTS_PARTNER_TOKEN
    if not ours or not isinstance(given, str):
        return False
    return hmac.compare_digest(given.encode("utf-8", "replace"), ours.encode())


def _envelope(serializer: Serializer[dict[str, Any]], body: dict[str, Any]) -> dict[str, Any]:
    try:
        said: dict[str, Any] = serializer.run_validation(body)
    except ValidationError as error:
        named = ", ".join(sorted(error.detail)) if isinstance(error.detail, dict) else "the envelope"
        raise bodies.BadBody(f"Missing or malformed: {named}.") from error
    return said


def _last_changes(salon_ids: set[int]) -> dict[int, dict[str, int]]:
    """Return for each salon the id of its last event of each type that changes its standing."""
    if not salon_ids:
        return {}
    events = MarketplaceEvent.objects.filter(salon_id__in=salon_ids, event_type__in=STANDING).order_by()
    found: dict[int, dict[str, int]] = {}
    for salon_id, event_type, last in events.values_list("salon_id", "event_type").annotate(Max("id")):
        found.setdefault(salon_id, {})[event_type] = last
    return found


def _since(one: Checked, changes: dict[int, dict[str, int]]) -> int:
    """Return the id of the last event that changed the salon's standing, 0 without any.

    A lifecycle body has no time and no number, so it is a repeat as long as nothing else has happened to the
    salon: after a reinstall the same "uninstall" is new.
    """
    own = OWN_EFFECTS.get(one.name, ())
    others = [last for kind, last in changes.get(one.salon_id, {}).items() if kind not in own]
    return max(others, default=0)
