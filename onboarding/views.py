"""The way in from the marketplace, the onboarding page, and the pages for errors."""

from typing import Any

import django.db
import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.utils.translation import get_language

from config.shared.thread_budgets import waits_for_yclients
from marketplace.salons import ownership, registration
from marketplace.yclients.signing import BadSignature, is_placeholder_token
from onboarding import (
    arrival_limits,
    page_actions,
    page_texts,
    pages,
    phones,
    redirect_params,
    refusals,
    token_scope,
    tokens,
)
from onboarding.api_errors import ApiError
from onboarding.pages import page

log = structlog.get_logger("onboarding")

JSON_PATHS = ("/marketplace/api/", "/marketplace/activate", "/webhook/", "/yclients/")


@waits_for_yclients
@page
def arrive(request: HttpRequest) -> HttpResponse:
    """A salon owner comes from the marketplace: register the salons, go on to their page."""
    if request.method != "GET":
        return pages.method_not_allowed("GET")
    if is_placeholder_token(settings.YCLIENTS_PARTNER_TOKEN):
        return _refuse("not_configured")
    try:
        arrival_limits.count_address(request)
        return _register(request)
    except arrival_limits.TooManyArrivals as error:
        response = _refuse("too_many", reason=str(error))
        response["Retry-After"] = str(error.retry_after)
        return response


def _register(request: HttpRequest) -> HttpResponse:
    if len(request.META.get("QUERY_STRING", "")) > redirect_params.MAX_QUERY:
        return _refuse("bad_link", reason="query too long")
    try:
        arrival = redirect_params.read(request.GET, partner_token=settings.YCLIENTS_PARTNER_TOKEN)
        if settings.YCLIENTS_REQUIRE_SIGNATURE and not arrival.signed:
            return _refuse("bad_signature", reason="not signed", salon_ids=arrival.salon_ids)
        visitor = ownership.Visitor(arrival.user, arrival.signed)
        arrival_limits.count_user(visitor)
        registered = registration.start_registration(
            salon_ids=arrival.salon_ids, user=arrival.user, signed=arrival.signed
        )
    except (redirect_params.BadLink, registration.BadSalons) as error:
        return _refuse("bad_link", reason=str(error))
    except BadSignature as error:
        return _refuse("bad_signature", reason=str(error))
    except registration.NotInstalling as error:
        return _refuse("not_installing", reason=str(error))
    except registration.InstallationUnverified as error:
        return _refuse("unverified", reason=str(error))
    except registration.NoPower as error:
        log.warning("page refused", why="no power", reason=str(error))
        return refusals.no_power(error.refusals)
    except registration.SalonFrozen as error:
        return refusals.frozen(error)
    except registration.YClientsBusy as error:
        response = _refuse("busy", reason=str(error))
        response["Retry-After"] = str(error.retry_after)
        return response
    token = tokens.issue(company=registered.primary, companies=registered.companies, holder=visitor.holder)
    return HttpResponseRedirect(pages.onboarding_address(token))


@page
def onboarding(request: HttpRequest) -> HttpResponse:
    """The page on which a salon's WhatsApp is linked."""
    if request.method not in ("GET", "HEAD"):
        return pages.method_not_allowed("GET")
    token = request.GET.get("token", "")
    if not token:
        return pages.error("no_token")
    try:
        registrant = tokens.verify(token)
        # Opening the page starts no codes: it names the salon and its owner, and asks first.
        scope = token_scope.load(registrant)
        picture = page_actions.read_snapshot(registrant, viewed=False)
    except (tokens.InvalidToken, token_scope.TokenRevoked) as error:
        return _refuse("invalid_token", reason=str(error))
    except django.db.Error as error:
        log.error("database does not answer", error=repr(error))
        return pages.error("unavailable")
    start = {
        "token": token,
        "language": get_language(),
        "picture": picture,
        "texts": page_texts.texts(),
        "marketplacePage": settings.YCLIENTS_MARKETPLACE_PAGE,
    }
    owner = token_scope.owner_name(scope, registrant)
    context = {
        "start": start,
        "picture": picture,
        "owner": owner,
        "phone_example": phones.example(scope.region),
    }
    return pages.render("onboarding/page.html", context)


def _refuse(word: str, **details: Any) -> HttpResponse:
    log.warning("page refused", why=word, **details)
    return pages.error(word)


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """handler400"""
    return _problem(request, "bad_request")


def forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """handler403"""
    return _problem(request, "forbidden")


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """handler404"""
    return _problem(request, "not_found")


def server_error(request: HttpRequest) -> HttpResponse:
    """handler500"""
    return _problem(request, "server_error")


def busy(request: HttpRequest) -> HttpResponse:
    """503: all threads of this class of requests are at work."""
    return _problem(request, "unavailable")


@page
def _problem(request: HttpRequest, word: str) -> HttpResponse:
    if not request.path.startswith(JSON_PATHS):
        return pages.error(word)
    status, title, _text = pages.ERRORS[word]
    return JsonResponse(ApiError(status, word, error=str(title)).body(), status=status)
