"""Which phone numbers have WhatsApp, as WhatsApp has said within the last day."""

import uuid
from collections.abc import Collection

from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from whatsapp.engine.events import NumberResult
from whatsapp.models import KnownNumber, Message
from whatsapp.sessions.policy import NUMBER_GOOD_FOR

NOT_ON_WHATSAPP = "this number has no WhatsApp"


def _fresh() -> Q:
    return Q(checked_at__gt=timezone.now() - NUMBER_GOOD_FOR)


def known(phone: str) -> KnownNumber | None:
    """What WhatsApp said of the number within the last day."""
    return KnownNumber.objects.filter(_fresh(), phone=phone).first()


def known_of(phones: Collection[str]) -> dict[str, KnownNumber]:
    """What WhatsApp said of these numbers within the last day, by phone."""
    if not phones:
        return {}
    return {row.phone: row for row in KnownNumber.objects.filter(_fresh(), phone__in=phones)}


def unchecked(session_id: uuid.UUID, *, limit: int) -> list[str]:
    """Numbers that the session's due messages go to and of which nothing is known, the next ones first."""
    asked = KnownNumber.objects.filter(_fresh(), phone=OuterRef("phone"))
    waiting = Message.objects.filter(
        ~Exists(asked),
        session_id=session_id,
        status=Message.Status.QUEUED,
        not_before__lte=timezone.now(),
    )
    phones = waiting.order_by("priority", "not_before", "id").values_list("phone", flat=True)
    return list(dict.fromkeys(phones[: limit * 4]))[:limit]


def without_whatsapp() -> Q:
    """Condition on messages: their number is known to have no WhatsApp."""
    return Q(Exists(KnownNumber.objects.filter(_fresh(), phone=OuterRef("phone"), on_whatsapp=False)))


def record(results: list[NumberResult]) -> None:
    """Remember WhatsApp's answers; a LID known before is kept when an answer has none."""
    now = timezone.now()
    # In one order everywhere, so that two pools with the same numbers cannot wait for each other.
    rows = [
        KnownNumber(
            phone=result["phone"],
            on_whatsapp=result["on_whatsapp"],
            jid=result["jid"] or "",
            lid=result["lid"] or "",
            checked_at=now,
        )
        for result in sorted(results, key=lambda result: result["phone"])
    ]
    for named, columns in ((True, ["lid"]), (False, [])):
        if batch := [row for row in rows if bool(row.lid) is named]:
            KnownNumber.objects.bulk_create(
                batch,
                update_conflicts=True,
                unique_fields=["phone"],
                update_fields=["on_whatsapp", "jid", "checked_at", *columns],
            )


def phone_of(lid: str) -> str:
    """The phone number last seen together with this LID; empty when none was."""
    found = KnownNumber.objects.filter(lid=lid).order_by("-checked_at").values_list("phone", flat=True)
    return found.first() or ""


def pair(*, phone: str, lid: str) -> None:
    """Keep a phone number and a LID together that WhatsApp has named for one person."""
    if not KnownNumber.objects.filter(_fresh(), phone=phone, lid=lid).exists():
        record([NumberResult(phone=phone, jid=f"{phone}@s.whatsapp.net", lid=lid, on_whatsapp=True)])
