"""The way in from the marketplace."""

from typing import Any

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from config.shared.thread_budgets import waits_for_yclients
from marketplace.salons import ownership, registration
from marketplace.yclients.signing import BadSignature, is_placeholder_token
from onboarding.arrival import limits, redirect_params, refusals
from onboarding.linking import tokens
from onboarding.rendering import addresses, pages
from onboarding.rendering.pages import page

log = structlog.get_logger("onboarding")


@waits_for_yclients
@page
def arrive(request: HttpRequest) -> HttpResponse:
    """A salon owner comes from the marketplace: register the salons, go on to their page."""
    if request.method != "GET":
        return pages.method_not_allowed("GET")
    if is_placeholder_token(settings.YCLIENTS_PARTNER_TOKEN):
        return _refuse("not_configured")
    try:
        limits.count_address(request)
        return _register(request)
    except limits.TooManyArrivals as error:
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
        limits.count_user(visitor)
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
    return HttpResponseRedirect(addresses.onboarding_address(token))


def _refuse(word: str, **details: Any) -> HttpResponse:
    log.warning("page refused", why=word, **details)
    return pages.error(word)
