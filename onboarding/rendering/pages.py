"""Rendering pages: in the visitor's language, framed only by the marketplaces, never cached."""

from collections.abc import Callable
from functools import wraps
from typing import Any, cast

from csp.constants import SELF
from csp.decorators import csp_replace
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.clickjacking import xframe_options_exempt

from onboarding.rendering import languages, origins

# Title and text of each error page by its machine word.
ERRORS = {
    "not_configured": (
        503,
        gettext_lazy("The service is not ready yet"),
        gettext_lazy(
            "It has not been given its access to YClients. Please try again later, or tell support."
        ),
    ),
    "unavailable": (
        503,
        gettext_lazy("The service does not answer"),
        gettext_lazy("Please try again in a few minutes."),
    ),
    "bad_link": (
        400,
        gettext_lazy("The link is incomplete"),
        gettext_lazy(
            "We could not tell which salon to connect. "
            "Open the application in YClients and press “Connect” again."
        ),
    ),
    "bad_signature": (
        403,
        gettext_lazy("The link could not be verified"),
        gettext_lazy(
            "It does not carry YClients' signature, or was changed on its way. "
            "Open the application in YClients and press “Connect” again."
        ),
    ),
    "not_installing": (
        403,
        gettext_lazy("This salon is not connecting the application"),
        gettext_lazy(
            "YClients does not list our application among those that this salon installs. "
            "Open the application's page in YClients under the salon's own account and press “Connect”."
        ),
    ),
    "unverified": (
        403,
        gettext_lazy("YClients does not answer"),
        gettext_lazy(
            "We could not ask YClients whether this salon is connecting the application. "
            "Wait a few minutes, then press “Connect” in YClients again."
        ),
    ),
    "busy": (
        503,
        gettext_lazy("Too many salons are connecting at this moment"),
        gettext_lazy("Nothing is lost. Wait half a minute, then press “Connect” in YClients again."),
    ),
    "too_many": (
        429,
        gettext_lazy("Too many visits within a minute"),
        gettext_lazy("Nothing is lost. Wait a minute, then press “Connect” in YClients again."),
    ),
    "token_used": (
        403,
        gettext_lazy("This page has opened the cabinet before"),
        gettext_lazy("For safety it does so once. Open the application in YClients again."),
    ),
    "cabinet_link_ended": (
        403,
        gettext_lazy("The link has run out"),
        gettext_lazy(
            "It works once and for ten minutes only. Ask for a new one on the cabinet's first page."
        ),
    ),
    "alert_link_ended": (
        403,
        gettext_lazy("The link has run out"),
        gettext_lazy("It is old, or the address was changed. E-mails are set in the salon's cabinet."),
    ),
    "too_many_links": (
        429,
        gettext_lazy("Too many links were asked for"),
        gettext_lazy("Try again in an hour, or open the application in YClients."),
    ),
    "too_many_actions": (
        429,
        gettext_lazy("Too many changes within a minute"),
        gettext_lazy("Wait a minute, then go back and try again."),
    ),
    "link_ended": (
        403,
        gettext_lazy("The link has run out"),
        gettext_lazy(
            "It works once and for ten minutes only. Open the application in YClients and ask for a new one."
        ),
    ),
    "no_token": (
        400,
        gettext_lazy("Open this page from YClients"),
        gettext_lazy("The address lacks its key. Open the application in YClients and press “Connect”."),
    ),
    "invalid_token": (
        401,
        gettext_lazy("The token is not valid"),
        gettext_lazy(
            "For safety a link works for one hour only. "
            "Open the application in YClients and press “Connect” again; what has been linked stays linked."
        ),
    ),
    "bad_request": (
        400,
        gettext_lazy("The request could not be understood"),
        gettext_lazy("Go back and try again, or start anew from YClients."),
    ),
    "forbidden": (
        403,
        gettext_lazy("This is not allowed"),
        gettext_lazy("Go back and try again, or start anew from YClients."),
    ),
    "not_found": (
        404,
        gettext_lazy("There is no such page"),
        gettext_lazy("Check the address, or start anew from YClients."),
    ),
    "method_not_allowed": (
        405,
        gettext_lazy("This page cannot be opened in this way"),
        gettext_lazy("Open the application in YClients and press “Connect”."),
    ),
    "server_error": (
        500,
        gettext_lazy("Something broke on our side"),
        gettext_lazy("The fault has been recorded. Please try again in a few minutes."),
    ),
}


def page(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Decorate a view that answers a person: `?lang`, framing, caching."""
    policy = {
        "frame-ancestors": origins.FRAME_ANCESTORS,
        # Safari before 15.4 does not take a WebSocket to our own host for 'self'.
        "connect-src": [SELF, settings.BASE_URL.replace("http", "ws", 1)],
    }
    framed = csp_replace(policy)

    @wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        language = language_of(request)
        with translation.override(language):
            response = view(request, *args, **kwargs)
        response["Content-Language"] = language
        return response

    decorated: Any = framed(xframe_options_exempt(never_cache(answer)))
    return cast(Callable[..., HttpResponse], decorated)


def language_of(request: HttpRequest) -> str:
    """`ru` or `en` for this visitor."""
    return languages.choose(
        wanted=request.GET.get("lang", ""), accept_language=request.headers.get("Accept-Language", "")
    )


def render(template: str, context: dict[str, Any], *, status: int = 200) -> HttpResponse:
    """Render without the request: no session, no cookie, nothing that could fail with the database."""
    return HttpResponse(
        render_to_string(template, {"marketplace_page": settings.YCLIENTS_MARKETPLACE_PAGE, **context}),
        status=status,
    )


def method_not_allowed(allowed: str) -> HttpResponse:
    """405, with the methods that are allowed, such as `GET, POST`."""
    response = error("method_not_allowed")
    response["Allow"] = allowed
    return response


def error(word: str) -> HttpResponse:
    """The error page of a machine word of `ERRORS`."""
    status, title, text = ERRORS[word]
    context = {"title": title, "text": text, "status": status, "word": word}
    response = render("error.html", context, status=status)
    if status == 503:
        response["Retry-After"] = "60"
    return response
