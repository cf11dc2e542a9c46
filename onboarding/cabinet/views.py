"""What every page of the cabinet shares: whose it is, its language, its limits, and how it is rendered."""

import uuid
from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from limits import RateLimitItemPerMinute

from config.shared import rate_limits
from marketplace.models import Company
from marketplace.salons import clock
from onboarding.cabinet import sessions
from onboarding.rendering import languages, pages

View = Callable[..., HttpResponseBase]
BY = "cabinet"  # who did it, in the salon's events
LARGEST_NUMBER = 2**63 - 1  # of a row
POSTS_PER_MINUTE = RateLimitItemPerMinute(60)

# Each screen: the name of its address, what navigation calls it, its icon in base.html.
SCREENS = [
    ("cabinet-home", gettext_lazy("Home"), "home"),
    ("cabinet-messages", gettext_lazy("Messages"), "messages"),
    ("cabinet-texts", gettext_lazy("Texts"), "texts"),
    ("cabinet-replies", gettext_lazy("Replies"), "replies"),
    ("cabinet-settings", gettext_lazy("Settings"), "settings"),
]


def cabinet_page(view: View) -> View:
    """Decorate a view that answers with or without a session: language, caching, referrer.

    The policy of the settings lets nobody frame it. Forms need their CSRF token: a page under `no-referrer`
    would post with `Origin: null`, which Django refuses.
    """

    @wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        store = sessions.read(request)
        if store is not None:
            sessions.bind(request, store)
        language = _language_of(request, store)
        with translation.override(language):
            response = view(request, *args, **kwargs)
        if store is not None:
            sessions.save(store)
        response["Content-Language"] = language
        response.headers.setdefault("Referrer-Policy", "same-origin")
        return response

    return never_cache(answer)


def cabinet_view(view: View) -> View:
    """Decorate a page of one salon: `view(request, salon, **rest of the address)`.

    Without a session it leads to the way in; another's salon does not exist.
    """

    @wraps(view)
    def answer(request: HttpRequest, salon_id: int, **kwargs: Any) -> HttpResponseBase:
        if not has_session(request):
            return sign_in_first(request)
        salons = sessions.salons_of(sessions.of(request))
        if not salons:
            return sessions.end(request, sign_in_first(request))
        salon = next((each for each in salons if each.salon_id == salon_id), None)
        if salon is None:
            return pages.error("not_found")
        if request.method == "POST" and (refused := refuse_flood(request)):
            return refused
        sessions.of(request).salons = salons
        try:
            return view(request, salon, **kwargs)
        except Http404:  # answered here, for error pages of others may be framed
            return pages.error("not_found")

    return cabinet_page(answer)


def has_session(request: HttpRequest) -> bool:
    """A cabinet session belongs to this request."""
    return hasattr(request, "cabinet")


def sign_in_first(request: HttpRequest) -> HttpResponseRedirect:
    """Lead to the page that says how to get in."""
    language = request.GET.get("lang", "")
    query = f"?{urlencode({'lang': language})}" if language else ""
    return HttpResponseRedirect(f"{reverse('cabinet')}{query}")


def refuse_flood(request: HttpRequest) -> HttpResponse | None:
    """429 beyond so many POSTs a minute of one session."""
    key = sessions.of(request).session_key or ""
    window = rate_limits.hit(POSTS_PER_MINUTE, "cabinet-posts", key)
    if window.allowed:
        return None
    response = pages.error("too_many_actions")
    response["Retry-After"] = str(window.resets_in)
    return response


def render_page(
    request: HttpRequest, template: str, context: dict[str, Any], *, status: int = 200
) -> HttpResponse:
    """Render a page of the cabinet that belongs to no salon."""
    frame = {
        "language_links": _language_links(request),
        "flash": sessions.pop_flash(request) if has_session(request) else [],
        "signed_in": has_session(request),
        "marketplace_page": settings.YCLIENTS_MARKETPLACE_PAGE,
    }
    return HttpResponse(render_to_string(template, {**frame, **context}, request), status=status)


def render_cabinet(
    request: HttpRequest, salon: Company, template: str, context: dict[str, Any], *, status: int = 200
) -> HttpResponse:
    """Render a screen of the salon, with navigation and the salons to switch to; times by the salon's clock.

    The template extends `cabinet/base.html`; `salon`, `screens`, `salons` and `flash` are the frame's.
    """
    match = request.resolver_match
    current = match.url_name if match and match.url_name else ""
    screens = [
        {
            "url": reverse(name, args=[salon.salon_id]),
            "title": title,
            "icon": icon,
            # `cabinet-messages-export` belongs to `cabinet-messages`.
            "current": current == name or current.startswith(f"{name}-"),
        }
        for name, title, icon in SCREENS
    ]
    frame = {"salon": salon, "salons": sessions.of(request).salons, "screens": screens}
    with timezone.override(clock.zone_of(salon)):
        return render_page(request, template, {**frame, **context}, status=status)


def render_part(request: HttpRequest, salon: Company, template: str, context: dict[str, Any]) -> HttpResponse:
    """Render a part that a screen's script puts in, without the frame; what is to be shown once waits."""
    part = {"salon": salon, "base": "cabinet/_bare.html", **context}
    with timezone.override(clock.zone_of(salon)):
        return HttpResponse(render_to_string(template, part, request))


def form_nonce(request: HttpRequest) -> uuid.UUID:
    """The name that the page put into its form: a form that is sent twice does its work once."""
    try:
        return uuid.UUID(request.POST.get("nonce", ""))
    except ValueError:
        return uuid.uuid4()


def row_number(text: str) -> int | None:
    """The number of a row, from the query or a form; None for what is no such number."""
    is_number = text.isascii() and text.isdigit() and len(text) < 20
    return min(int(text), LARGEST_NUMBER) if is_number else None


def back_to(name: str, salon: Company, **kwargs: Any) -> HttpResponseRedirect:
    """303 to a screen after a POST."""
    return HttpResponseRedirect(reverse(name, kwargs={"salon_id": salon.salon_id, **kwargs}), status=303)


def _language_of(request: HttpRequest, store: sessions.CabinetStore | None) -> str:
    """The one asked for by `?lang`, which a session remembers, else the browser's."""
    known = {code for code, _name in settings.LANGUAGES}
    asked = request.GET.get("lang", "")
    if store is not None and asked in known and store.get("language") != asked:
        store["language"] = asked
    remembered = store.get("language", "") if store is not None else ""
    return languages.choose(
        wanted=asked or remembered, accept_language=request.headers.get("Accept-Language", "")
    )


def _language_links(request: HttpRequest) -> list[dict[str, Any]]:
    links = []
    for code, _name in settings.LANGUAGES:
        query = request.GET.copy()
        query["lang"] = code
        info = translation.get_language_info(code)
        links.append({"code": code, "name": info["name_local"].capitalize(), "url": f"?{query.urlencode()}"})
    return links
