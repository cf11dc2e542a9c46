"""The two ways to power over somebody else's salon that lead through pages, and the way to the payment."""

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.views.decorators.csrf import csrf_exempt

from config.shared.thread_budgets import waits_for_yclients
from marketplace.salons import access
from marketplace.yclients.api import YClients
from marketplace.yclients.call_errors import YClientsError
from marketplace.yclients.redirects import safe_redirect
from onboarding.arrival import refusals
from onboarding.linking import tokens
from onboarding.rendering import addresses, pages, phones
from onboarding.rendering.pages import page

log = structlog.get_logger("onboarding")

PAYMENT_PATIENCE = 6.0  # seconds; a person waits


@csrf_exempt  # the form carries a signature of its own; a framed page has no cookies
@page
def send_link(request: HttpRequest) -> HttpResponse:
    """Send the one-time link that the visitor of a `no_power` page asked for."""
    if request.method != "POST":
        return pages.method_not_allowed("POST")
    wanted = refusals.read_form(request.POST.get("request", "")[:500])
    if wanted is None:
        return pages.error("bad_link")
    try:
        phone = access.send_link(wanted)
    except access.NotPossible as error:
        return refusals.link_not_sent(wanted, error.code)
    minutes = int(access.LINK_LASTS.total_seconds() // 60)
    return pages.render(
        "onboarding/link_sent.html", {"phone": phones.masked(phones.formatted(phone)), "minutes": minutes}
    )


@csrf_exempt  # the link is the secret, and no cookie counts
@page
def use_link(request: HttpRequest) -> HttpResponse:
    """Open a one-time link: GET asks, for programs open links too; POST uses it up."""
    if request.method not in ("GET", "HEAD", "POST"):
        return pages.method_not_allowed("GET, POST")
    token = (request.POST if request.method == "POST" else request.GET).get("link", "")
    try:
        if request.method != "POST":
            found = access.find_link(token)
            return pages.render(
                "onboarding/open_link.html",
                {"link": token, "company": found.company, "name": found.user_name},
            )
        used = access.use_link(token)
    except access.NotPossible as error:
        log.warning("access link refused", reason=str(error))
        return pages.error("link_ended")
    company = used.company
    return HttpResponseRedirect(
        addresses.onboarding_address(
            tokens.issue(company=company, companies=[company], access_request=used.pk)
        )
    )


@waits_for_yclients
@page
def pay(request: HttpRequest) -> HttpResponse:
    """Lead the owner of a suspended salon to YClients' payment page, else to our card there."""
    if request.method != "GET":
        return pages.method_not_allowed("GET")
    salon_id = addresses.salon_of_payment(request.GET.get("salon", "")[:500])
    if salon_id is None:
        return pages.error("bad_link")
    address = ""
    try:
        with YClients(patience=PAYMENT_PATIENCE) as yclients:
            address = yclients.payment_link(salon_id)
    except YClientsError as error:
        log.warning("no payment address", salon_id=salon_id, cause=str(error))
    return HttpResponseRedirect(
        safe_redirect(address) if address else str(settings.YCLIENTS_MARKETPLACE_PAGE)
    )
