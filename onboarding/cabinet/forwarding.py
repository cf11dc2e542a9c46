"""Where clients' replies are forwarded to, for the salon: the address, the secret, the last deliveries."""

from typing import Any

from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe
from limits import RateLimitItemPerHour

from config.shared import rate_limits
from marketplace.inbound import forwarding, forwarding_changes, outgoing_events
from marketplace.inbound.forwarding_post import new_secret
from marketplace.models import Company, ForwardedMessage, Forwarding, ForwardingChange
from marketplace.yclients import safe_http
from onboarding.cabinet import sessions
from onboarding.cabinet.views import BY, back_to, cabinet_view, render_cabinet

DELIVERIES = 20
TESTS = RateLimitItemPerHour(20)  # of one salon: each is a request to an address that its owner typed
LONGEST_ADDRESS = 1000  # characters


@require_safe
@cabinet_view
def show(request: HttpRequest, salon: Company) -> HttpResponse:
    """The address's host, what waits to be approved, and the last deliveries."""
    return _render(request, salon)


@require_POST
@cabinet_view
def change(request: HttpRequest, salon: Company) -> HttpResponse:
    """Forward to `url` from now on, or with `off` nowhere."""
    row = Forwarding.objects.filter(company=salon).first()
    if "off" in request.POST:
        if row is not None:
            forwarding_changes.request_change(row=row, url=row.url, enabled=False, by=BY)
            sessions.flash(request, _("Nothing is forwarded any more."))
        return back_to("cabinet-replies-forwarding", salon)
    url = request.POST.get("url", "").strip()
    try:
        if len(url) > LONGEST_ADDRESS:
            raise safe_http.AddressRefused("too long")
        safe_http.check_public(url)
    except safe_http.AddressRefused:
        sessions.flash(request, _("The address must be a plain https address."), tone="bad")
        return back_to("cabinet-replies-forwarding", salon)
    secret = ""
    if row is None:
        secret = new_secret()
        row = Forwarding.objects.create(company=salon, url="", secret=secret, enabled=False)
    made = forwarding_changes.request_change(row=row, url=url, enabled=True, by=BY)
    if made is not None and made.state == ForwardingChange.State.WAITING:
        sessions.flash(request, _("The new address waits until support approves it."))
    else:
        sessions.flash(request, _("What clients write is forwarded to this address."))
    return _render(request, salon, secret=secret) if secret else back_to("cabinet-replies-forwarding", salon)


@require_POST
@cabinet_view
def renew_secret(request: HttpRequest, salon: Company) -> HttpResponse:
    """Make a new secret, and show it this once."""
    row = Forwarding.objects.filter(company=salon).first()
    if row is None:
        raise Http404
    return _render(request, salon, secret=forwarding_changes.renew_secret(forwarding=row, by=BY))


@require_POST
@cabinet_view
def test(request: HttpRequest, salon: Company) -> HttpResponse:
    """Send a test event to the address; what becomes of it is shown on the page."""
    row = Forwarding.objects.filter(company=salon).first()
    if row is None:
        raise Http404
    if not rate_limits.hit(TESTS, "cabinet-forwarding-test", str(salon.salon_id)).allowed:
        sessions.flash(request, _("Too many tests within an hour. Try again later."), tone="bad")
    elif outgoing_events.queue_test(forwarding=row, by=BY):
        sessions.flash(request, _("The test is on its way; its result is shown here."))
    elif not row.enabled:
        sessions.flash(request, _("Nothing is forwarded."), tone="bad")
    return back_to("cabinet-replies-forwarding", salon)


@require_POST
@cabinet_view
def retry(request: HttpRequest, salon: Company, delivery_id: int) -> HttpResponse:
    """Deliver once more what was given up."""
    row = _deliveries().filter(pk=delivery_id, forwarding__company=salon).first()
    if row is None:
        raise Http404
    if forwarding.replay(forwarded=row, by=BY):
        sessions.flash(request, _("It is delivered again."))
    elif row.text_is_gone:
        text = _("What the client wrote was removed, as its time was over, so it cannot be delivered.")
        sessions.flash(request, text, tone="bad")
    return back_to("cabinet-replies-forwarding", salon)


def _render(request: HttpRequest, salon: Company, *, secret: str = "") -> HttpResponse:
    row = Forwarding.objects.filter(company=salon).first()
    context: dict[str, Any] = {"forwarding": row, "secret": secret}
    if row is not None:
        waiting = row.changes.filter(state=ForwardingChange.State.WAITING).first()
        context |= {
            "host": forwarding_changes.host_of(row.url),
            "waiting_host": waiting.host_after if waiting else "",
            "test": row.messages.filter(event=ForwardedMessage.Event.TEST).order_by("-id").first(),
            "deliveries": _deliveries().filter(forwarding=row).order_by("-id")[:DELIVERIES],
            "resting": row.paused_until is not None and row.paused_until > timezone.now(),
        }
    return render_cabinet(request, salon, "cabinet/forwarding.html", context)


def _deliveries() -> QuerySet[ForwardedMessage]:
    return ForwardedMessage.objects.select_related("message").defer("message__callback_url")
