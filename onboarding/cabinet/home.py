"""The cabinet's home: whether WhatsApp works, today's messages, the last 30 days, what waits and why."""

from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST, require_safe

from marketplace.models import Company
from marketplace.salons import clock
from onboarding.cabinet import condition, plot, sessions, statistics
from onboarding.cabinet.statistics import OUTCOMES, Waiting
from onboarding.cabinet.views import cabinet_view, render_cabinet
from onboarding.linking import tokens
from onboarding.rendering import addresses, phones
from whatsapp.messages import limits
from whatsapp.models import SendingLimits, Session
from whatsapp.sessions import services

LABELS = {
    "read": gettext_lazy("read"),
    "delivered": gettext_lazy("delivered"),
    "sent": gettext_lazy("sent"),
    "queued": gettext_lazy("waiting"),
    "failed": gettext_lazy("failed"),
}
IN_TIME = ("queued", "sent", "delivered", "read", "failed")  # a message's way


@require_safe
@cabinet_view
def home(request: HttpRequest, salon: Company) -> HttpResponse:
    """Everything at one glance; the page's script reads it anew from time to time."""
    return render_cabinet(request, salon, "cabinet/home.html", _context(salon))


def _context(salon: Company) -> dict[str, Any]:
    session = salon.session
    state = condition.describe(salon, pool_running=services.pool_is_running())
    context: dict[str, Any] = {
        "state": state,
        "payment_address": addresses.payment_address(salon.salon_id) if state.action == "pay" else "",
    }
    if session is None:
        return context
    days = statistics.read_days(session, clock.zone_of(salon))
    return context | {
        "phone": phones.masked(phones.formatted(session.phone)),
        "since": session.paired_at if session.is_linked else None,
        "today": [(outcome, LABELS[outcome], days[-1].by_outcome[outcome]) for outcome in IN_TIME],
        "labels": LABELS.items(),
        "days": [(day.day, [day.by_outcome[outcome] for outcome in OUTCOMES], day.total) for day in days],
        "total": sum(day.total for day in days),
        "pieces": plot.draw(days),
        **_waiting(session),
    }


def _waiting(session: Session) -> dict[str, Any]:
    waiting = statistics.read_waiting(session)
    why = _reasons(session, waiting, timezone.now()) if waiting.due or waiting.later else []
    return {"waiting": waiting, "reasons": why}


def _reasons(session: Session, waiting: Waiting, now: datetime) -> list[str]:
    """Why messages wait, besides what `condition` says of the whole number."""
    found = []
    row = SendingLimits.objects.filter(session=session).first()
    limit = limits.limits_of(session=session, row=row, now=now)
    if waiting.later:
        found.append(
            _("Reminders and messages with a set time wait for it: %(count)d.") % {"count": waiting.later}
        )
    if not waiting.due:
        return found
    if session.sending_paused or not session.is_connected:
        found.append(_("Nothing can be sent now, see above. Nothing is lost."))
    elif limit.cap and statistics.sent_since(session, limit.day_began(now)) >= limit.cap:
        text = _(
            "A newly linked number sends at most %(cap)d messages a day; the others go out after midnight."
        )
        found.append(text % {"cap": limit.cap})
    elif limit.paced:
        text = _(
            "So that WhatsApp does not take them for a mailing, messages go out one by one, about %(gap)d s "
            "apart."
        )
        found.append(text % {"gap": round(limit.gap)})
    return found


@require_POST
@cabinet_view
def relink(request: HttpRequest, salon: Company) -> HttpResponse:
    """Go to the page with the codes, with a token for the salons of this number that are the session's."""
    store = sessions.of(request)
    shared = [each for each in store.salons if each.session_id == salon.session_id]
    token = tokens.issue(
        company=salon,
        companies=shared,
        holder=store["holder"] if store["access_request"] is None else None,
        access_request=store["access_request"],
    )
    return HttpResponseRedirect(addresses.onboarding_address(token), status=303)
