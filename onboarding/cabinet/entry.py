"""Into the cabinet from the onboarding page, out of it, and the list of one's salons."""

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_POST
from limits import RateLimitItemPerHour

from config.shared import rate_limits
from marketplace.models import Company, MarketplaceEvent
from onboarding.cabinet import sessions
from onboarding.cabinet.views import BY, cabinet_page, has_session, render_page
from onboarding.linking import token_scope, tokens
from onboarding.rendering import pages
from whatsapp.crypto.encryption import lookup_digest

log = structlog.get_logger("cabinet")

# A token opens one session: a copy of it from a browser's history opens none. It lives an hour, as the count.
ENTRIES_OF_A_TOKEN = RateLimitItemPerHour(1)


@require_http_methods(["GET", "HEAD"])
@cabinet_page
def choose(request: HttpRequest) -> HttpResponse:
    """The list of the session's salons, the only salon itself, or how to get in."""
    if not has_session(request):
        return render_page(request, "cabinet/sign_in.html", {"sent": "sent" in request.GET})
    salons = sessions.salons_of(sessions.of(request))
    if not salons:
        return sessions.end(request, render_page(request, "cabinet/sign_in.html", {"signed_in": False}))
    if len(salons) == 1:
        return HttpResponseRedirect(reverse("cabinet-home", args=[salons[0].salon_id]))
    return render_page(request, "cabinet/salons.html", {"salons": salons})


@csrf_exempt  # a framed onboarding page has no cookies; `_sender` stands in for their token
@require_POST
@cabinet_page
def enter(request: HttpRequest) -> HttpResponse:
    """Begin a session with the token of the onboarding page; where the browser does not say whose form it
    sends, ask first."""
    sender = _sender(request)
    if sender == "another":
        log.warning("cabinet entry refused", reason="sent by another site")
        return pages.error("forbidden")
    token = request.POST.get("token", "")
    arrival = _arrival(token)
    if arrival is None:
        return pages.error("invalid_token")
    if sender == "unknown":
        name = str(arrival[1].company)
        return render_page(request, "cabinet/confirm_entry.html", {"token": token, "name": name})
    return _begin(request, token, *arrival)


@require_POST
@cabinet_page
def confirm(request: HttpRequest) -> HttpResponse:
    """Begin the session after all: the form of the page that asked, with its CSRF token."""
    token = request.POST.get("token", "")
    arrival = _arrival(token)
    return pages.error("invalid_token") if arrival is None else _begin(request, token, *arrival)


def _arrival(token: str) -> tuple[tokens.Registrant, token_scope.TokenScope] | None:
    """Whom the token speaks for, and of which salons; None when it is worth nothing."""
    try:
        registrant = tokens.verify(token)
        scope = token_scope.load(registrant)
    except (tokens.InvalidToken, token_scope.TokenRevoked) as error:
        log.warning("cabinet entry refused", reason=str(error))
        return None
    return None if registrant.holder is None and registrant.access_request is None else (registrant, scope)


def _begin(
    request: HttpRequest, token: str, registrant: tokens.Registrant, scope: token_scope.TokenScope
) -> HttpResponse:
    salon_ids = [company.salon_id for company in scope.companies]
    if not rate_limits.hit(ENTRIES_OF_A_TOKEN, "cabinet-entry", lookup_digest(token)).allowed:
        if has_session(request) and registrant.salon_id in sessions.of(request)["salons"]:
            return HttpResponseRedirect(reverse("cabinet-home", args=[registrant.salon_id]), status=303)
        log.warning("cabinet entry refused", reason="token used before", salon_id=registrant.salon_id)
        return pages.error("token_used")
    store = sessions.start(
        request,
        holder=registrant.holder or "",
        salon_ids=salon_ids,
        access_request=registrant.access_request,
    )
    return opened(store, scope.company, way="YClients")


def opened(store: sessions.CabinetStore, salon: Company, *, way: str) -> HttpResponse:
    """Lead a browser whose session has just begun to the salon's home; `way` is for support's eyes."""
    salon.note(MarketplaceEvent.Type.CABINET_OPENED, by=BY, way=way)
    log.info("cabinet opened", salon_id=salon.salon_id, way=way)
    response = HttpResponseRedirect(reverse("cabinet-home", args=[salon.salon_id]), status=303)
    sessions.attach(response, store)
    return response


@require_POST
@cabinet_page
def leave(request: HttpRequest) -> HttpResponse:
    """End the session."""
    return sessions.end(request, HttpResponseRedirect(reverse("cabinet"), status=303))


def _sender(request: HttpRequest) -> str:
    """Whose form it is, `ours`, `another` or `unknown`: another site's would sign its visitor in as somebody
    else.

    Browsers say so in Sec-Fetch-Site. Old ones (Safari before 16.4) have but Origin, which is `null` of our
    page, under `no-referrer`, and of any other page that wishes it to be.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return "ours" if site == "same-origin" else "another"
    origin = request.headers.get("Origin", "null")
    if origin == settings.BASE_URL:
        return "ours"
    return "unknown" if origin == "null" else "another"
