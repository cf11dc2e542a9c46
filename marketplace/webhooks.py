"""Webhooks from YClients: who may send what, kept before it is answered, a repeat recognised.

A lifecycle event is authentic when it carries our partner token. An entity event carries nothing, so it is
taken only on a salon's own unguessable address, and only about that salon.
"""

import hmac
import time
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

import structlog
from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone
from rest_framework.serializers import BaseSerializer

from marketplace import bodies, effects
from marketplace.models import Company, InboundWebhook, MarketplaceEvent
from marketplace.serializers import EntitySerializer, LifecycleSerializer
from whatsapp import hints
from whatsapp.encryption import lookup_digest

log = structlog.get_logger("webhooks")

Kind = InboundWebhook.Kind
State = InboundWebhook.State
Type = MarketplaceEvent.Type

# The sender's retries come within minutes; without a time of change in the body only they are repeats.
REPEAT_WINDOW = 600  # seconds
# A process that dies between keeping and applying leaves the row to the worker after this time.
TAKEOVER = timedelta(seconds=30)
# What changes a salon's standing, and the change that each lifecycle event itself makes.
STANDING = (
    Type.REGISTRATION_STARTED,
    Type.INTEGRATION_ACTIVATED,
    Type.FROZEN,
    Type.UNFROZEN,
    Type.UNINSTALLED,
)
OWN_EFFECT = {"uninstall": Type.UNINSTALLED, "freeze": Type.FROZEN, "payment": Type.UNFROZEN}


class Refused(Exception):
    """The sender may not say this here."""


class Outcome(StrEnum):
    """What became of an authentic body."""

    KEPT = "kept"
    REPEAT = "repeat"


@dataclass(frozen=True, slots=True)
class Received:
    """A body that is now in the database, perhaps from before."""

    outcome: Outcome
    webhook: InboundWebhook | None


def receive(*, body: dict[str, Any], secret: str = "") -> Received:
    """Check who sent `body` and keep it once. `secret` is the one in the address, if any.

    Raises bodies.BadBody, Refused.
    """
    kind = _kind(body)
    company = Company.objects.filter(webhook_secret_digest=lookup_digest(secret)).first() if secret else None
    if kind == Kind.LIFECYCLE:
        return _receive_lifecycle(body, on_address_of=company)
    if company is None:
        raise Refused("entity event without a salon's address")
    return _receive_entity(body, company)


def replay(*, webhook: InboundWebhook) -> None:
    """Let a worker apply the webhook again, whatever became of it, as if it had just arrived."""
    InboundWebhook.objects.filter(pk=webhook.pk).update(
        state=State.RECEIVED, attempts=0, next_attempt_at=timezone.now(), last_error=""
    )
    webhook.refresh_from_db()
    hints.wake_workers()


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


def _receive_lifecycle(body: dict[str, Any], *, on_address_of: Company | None) -> Received:
    if not _has_our_token(body):
        raise Refused("lifecycle event without our partner token")
    event = body.get("event") or body.get("event_type")
    said = _envelope(LifecycleSerializer(data={**body, "event": event}))
    if said["application_id"] != settings.YCLIENTS_APPLICATION_ID:
        raise Refused("lifecycle event of another application")
    salon_id, event = said["salon_id"], said["event"].lower()
    if on_address_of is not None and on_address_of.salon_id != salon_id:
        raise Refused("lifecycle event on another salon's address")
    cleaned = bodies.clean(body, secret=settings.YCLIENTS_PARTNER_TOKEN)
    since = _last_change(salon_id, besides=OWN_EFFECT.get(event))
    does_something = event in effects.EFFECTS_OF
    return _keep(
        InboundWebhook(
            kind=Kind.LIFECYCLE,
            dedupe_key=f"lifecycle:{salon_id}:{event}:{since}:{bodies.digest(cleaned)}",
            salon_id=salon_id,
            company=Company.objects.filter(salon_id=salon_id).first(),
            name=event,
            body=cleaned,
            state=State.RECEIVED if does_something else State.IGNORED,
            next_attempt_at=timezone.now() + TAKEOVER if does_something else None,
        )
    )


def _receive_entity(body: dict[str, Any], company: Company) -> Received:
    said = _envelope(EntitySerializer(data=body))
    if said["company_id"] != company.salon_id:
        raise Refused("entity event about another salon")
    cleaned = bodies.clean(body, secret=settings.YCLIENTS_PARTNER_TOKEN)
    data = cleaned.get("data")
    changed = data.get("last_change_date") if isinstance(data, dict) else None
    when = str(changed)[:40] if changed else f"{int(time.time()) // REPEAT_WINDOW}"
    key = (company.salon_id, said["resource"], said.get("resource_id"), said.get("status"), when)
    return _keep(
        InboundWebhook(
            kind=Kind.ENTITY,
            # Hashed, because the parts are the sender's and of any length.
            dedupe_key=f"entity:{company.salon_id}:{bodies.digest([*key, data])}",
            salon_id=company.salon_id,
            company=company,
            name=f"{said['resource']}.{said.get('status') or ''}".rstrip("."),
            body=cleaned,
            # Nothing is done with bookings yet: the body is kept, and marked so.
            state=State.IGNORED,
        )
    )


def _has_our_token(body: dict[str, Any]) -> bool:
    given, ours = body.get("partner_token"), settings.YCLIENTS_PARTNER_TOKEN
    if not ours or not isinstance(given, str):
        return False
    return hmac.compare_digest(given.encode("utf-8", "replace"), ours.encode())


def _envelope(serializer: BaseSerializer[dict[str, Any]]) -> dict[str, Any]:
    if not serializer.is_valid():
        raise bodies.BadBody(f"Missing or malformed: {', '.join(sorted(serializer.errors))}.")
    said: dict[str, Any] = serializer.validated_data
    return said


def _last_change(salon_id: int, *, besides: str | None) -> int:
    """Return the id of the last event that changed the salon's standing, 0 without any.

    A lifecycle body has no time and no number, so it is a repeat as long as nothing else has happened to the
    salon: after a reinstall the same "uninstall" is new.
    """
    types = [kind for kind in STANDING if kind != besides]
    events = MarketplaceEvent.objects.filter(salon_id=salon_id, event_type__in=types)
    return events.order_by("-id").values_list("id", flat=True).first() or 0


def _keep(webhook: InboundWebhook) -> Received:
    """Insert the row, or count a repeat of the one that has its key."""
    try:
        with transaction.atomic():
            webhook.save(force_insert=True)
    except IntegrityError:
        same = InboundWebhook.objects.filter(dedupe_key=webhook.dedupe_key)
        if not same.update(repeats=F("repeats") + 1):
            raise
        log.info("webhook repeated", salon_id=webhook.salon_id, name=webhook.name)
        return Received(Outcome.REPEAT, same.first())
    log.info("webhook kept", salon_id=webhook.salon_id, name=webhook.name, webhook=webhook.pk)
    return Received(Outcome.KEPT, webhook)
