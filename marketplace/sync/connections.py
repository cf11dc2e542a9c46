"""Records as events that a salon's WhatsApp was linked or went away: once for each pairing."""

import structlog
from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Coalesce

from config.shared.masking import mask_phone, mask_text
from marketplace.inbound import outgoing_events
from marketplace.models import Company, MarketplaceEvent
from whatsapp.models import Session

log = structlog.get_logger("marketplace")


def due(*, limit: int) -> list[int]:
    """Return ids of companies whose link has changed since it was last recorded."""
    paired = Coalesce("session__paired_at", "session__created_at")
    linked = Q(session__status=Session.Status.CONNECTED) & (
        Q(whatsapp_noted_at__isnull=True) | ~Q(whatsapp_noted_at=F("paired"))
    )
    gone = Q(whatsapp_noted_at__isnull=False, session__jid="")
    changed = Company.objects.alias(paired=paired).filter(linked | gone)
    return list(changed.order_by("pk")[:limit].values_list("pk", flat=True))


def record(company_id: int) -> None:
    """Record the event of one company, if nobody else has."""
    with transaction.atomic():
        company = Company.objects.select_for_update().get(pk=company_id)
        session = company.session
        if session is None:
            return
        if session.is_connected and company.whatsapp_noted_at != (session.paired_at or session.created_at):
            company.whatsapp_noted_at = session.paired_at or session.created_at
            phone = mask_phone(session.phone)
            event = company.note(
                MarketplaceEvent.Type.WHATSAPP_CONNECTED, by="phone", session=str(session.pk), phone=phone
            )
        elif company.whatsapp_noted_at is not None and not session.is_linked:
            company.whatsapp_noted_at = None
            reason = mask_text(session.last_error)[:300]
            event = company.note(
                MarketplaceEvent.Type.WHATSAPP_LOGGED_OUT,
                by=session.status,
                session=str(session.pk),
                reason=reason,
            )
        else:
            return
        outgoing_events.queue_session_change(company=company, event=event)
        Company.objects.filter(pk=company_id).update(whatsapp_noted_at=company.whatsapp_noted_at)
    log.info("whatsapp link noted", salon_id=company.salon_id, linked=company.whatsapp_noted_at is not None)
