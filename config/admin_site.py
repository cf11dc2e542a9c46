"""The admin site of support staff: how the service does on its first page, and a slow door for guessers."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import structlog
from django.contrib.admin import AdminSite
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.utils.decorators import method_decorator
from django.utils.translation import gettext_lazy as _

from config.shared.addresses import client_address
from config.shared.overview import panels_for

log = structlog.get_logger("support")

FAILURES_PER_MINUTE = 10


def _says_where_it_comes_from(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """A page under `no-referrer`, as all others are, posts its forms with `Origin: null`, and the protection
    against forged requests refuses that."""

    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        response = view(request, *args, **kwargs)
        response.headers.setdefault("Referrer-Policy", "same-origin")
        return response

    return wrapped


class SupportSite(AdminSite):
    """Django's admin with our name, counts that link to the lists, and at most so many wrong passwords."""

    site_header = site_title = _("WhatsApp for YClients: support")
    index_title = _("Overview")
    index_template = "support/index.html"

    def index(self, request: HttpRequest, extra_context: Any = None) -> TemplateResponse:
        return super().index(request, {**(extra_context or {}), "panels": panels_for(request)})

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        """Every page but the sign-in passes here."""
        return _says_where_it_comes_from(super().admin_view(view, cacheable))

    @method_decorator(_says_where_it_comes_from)
    def login(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """At most FAILURES_PER_MINUTE failures a minute and address; then 429, whatever the password."""
        if request.method != "POST":
            return super().login(request, extra_context)
        key = f"admin-login:{_address(request)}"
        if _failures(key) >= FAILURES_PER_MINUTE:
            return HttpResponse(
                _("Too many attempts. Wait a minute and try again."),
                status=429,
                content_type="text/plain; charset=utf-8",
            )
        response = super().login(request, extra_context)
        if response.status_code == 200:  # the form again; a success redirects
            _count_failure(key)
        return response


def _address(request: HttpRequest) -> str:
    forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "")
    return client_address(peer=request.META.get("REMOTE_ADDR", ""), forwarded_for=[forwarded])


def _failures(key: str) -> int:
    try:
        return int(cache.get(key, 0))
    except Exception as error:  # noqa: BLE001  any cache's any fault: staff must get in while Redis is away
        log.warning("sign-in attempts not counted", error=repr(error))
        return 0


def _count_failure(key: str) -> None:
    log.warning("sign-in failed", address=key.partition(":")[2])
    try:
        if not cache.add(key, 1, timeout=60):
            cache.incr(key)
    except Exception as error:  # noqa: BLE001  as above; ValueError when the minute ended in between
        log.warning("sign-in attempts not counted", error=repr(error))
