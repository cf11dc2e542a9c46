"""Into the cabinet by a one-time link, which goes to the salon's own WhatsApp whoever asks for it."""

import asyncio

import structlog
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.views.decorators.http import require_http_methods
from limits import parse_many

from config.shared import rate_limits
from config.shared.addresses import request_address
from config.shared.thread_budgets import PAGES, BudgetUsedUp
from marketplace.salons import access
from onboarding.cabinet import sessions
from onboarding.cabinet.entry import opened
from onboarding.cabinet.views import cabinet_page, render_page
from onboarding.rendering import pages

log = structlog.get_logger("cabinet")

ADDRESS_LIMITS = parse_many("5/10minute;10/hour;30/day")  # of one client address; a salon's are in `access`
# Every answer takes so long, so that its time does not say whether there is such a salon.
ANSWER_SECONDS = 0.5
LONGEST_SALON_ID = 12  # digits


async def ask(request: HttpRequest) -> HttpResponseBase:
    """Send a link to the salon whose number was typed; the answer is the same for every number."""
    if request.method != "POST":
        return pages.method_not_allowed("POST")
    try:
        response, _slept = await asyncio.gather(PAGES.run(_send, request), asyncio.sleep(ANSWER_SECONDS))
    except BudgetUsedUp:
        return pages.error("unavailable")
    return response


@cabinet_page
def _send(request: HttpRequest) -> HttpResponse:
    for limit in ADDRESS_LIMITS:
        window = rate_limits.hit(limit, "cabinet-links", request_address(request))
        if not window.allowed:
            response = pages.error("too_many_links")
            response["Retry-After"] = str(window.resets_in)
            return response
    typed = request.POST.get("salon", "").strip().lstrip("№#").strip()
    if typed.isascii() and typed.isdigit() and len(typed) <= LONGEST_SALON_ID:
        try:
            access.send_cabinet_link(int(typed))
        except access.NotPossible as error:
            log.info("cabinet link not sent", salon_id=int(typed), reason=error.code)
    return HttpResponseRedirect(f"{reverse('cabinet')}?sent", status=303)


@require_http_methods(["GET", "HEAD", "POST"])
@cabinet_page
def use(request: HttpRequest) -> HttpResponse:
    """Open a one-time link: GET asks, for programs open links too; POST uses it up and begins a session."""
    token = (request.POST if request.method == "POST" else request.GET).get("link", "")
    try:
        if request.method != "POST":
            found = access.find_link(token)
            response = render_page(
                request, "cabinet/open_link.html", {"link": token, "name": str(found.company)}
            )
            response["Referrer-Policy"] = "strict-origin"  # the address holds the link
            return response
        used = access.use_link(token)
    except access.NotPossible as error:
        log.warning("cabinet link refused", reason=str(error))
        return pages.error("cabinet_link_ended")
    salon = used.company
    store = sessions.start(request, holder="", salon_ids=[salon.salon_id], access_request=used.pk)
    return opened(store, salon, way="one-time link")
