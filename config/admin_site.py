"""The admin site of support staff: how the service does on its first page, and a slow door for guessers."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import structlog
from django.contrib.admin import AdminSite
from django.core.cache import cache
from django.db.models import Count, Model
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.translation import gettext_lazy as _

from config.shared import support
from config.shared.addresses import client_address
from whatsapp.sessions.services import POOL_SILENCE

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
        return super().index(request, {**(extra_context or {}), "counts": _counts(request)})

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


def _counts(request: HttpRequest) -> list[dict[str, Any]]:
    """Tables of counts for the models that this user may see; states in which nothing is are left out."""
    from marketplace.admin.companies import COMPANY_TONES, WEBHOOK_TONES
    from marketplace.models import Company, InboundWebhook
    from whatsapp.admin.sessions import STATUS_TONES
    from whatsapp.models import Pool, Session

    shown = []
    for model, field, tones in (
        (Company, "status", COMPANY_TONES),
        (Session, "status", STATUS_TONES),
        (InboundWebhook, "state", WEBHOOK_TONES),
    ):
        if request.user.has_perm(f"{model._meta.app_label}.view_{model._meta.model_name}"):
            shown.append(_table(model, field, tones))
    if request.user.has_perm("whatsapp.view_message"):
        shown.append(_messages())
    if request.user.has_perm("whatsapp.view_pool"):
        alive = Pool.objects.filter(heartbeat_at__gt=timezone.now() - POOL_SILENCE).count()
        word = support.state(_("running"), "good") if alive else support.state(_("none is running"), "bad")
        shown.append(
            {"title": Pool._meta.verbose_name_plural, "rows": [(word, support.list_link(Pool, str(alive)))]}
        )
    return shown


def _messages() -> dict[str, Any]:
    """What waits or went wrong: few enough to count, each by an index of its own."""
    from whatsapp.admin.messages import STATUS_TONES, TELLING_TONES
    from whatsapp.models import Message

    rows = []
    for status in (
        Message.Status.QUEUED,
        Message.Status.FAILED,
        Message.Status.EXPIRED,
        Message.Status.UNKNOWN,
    ):
        number = Message.objects.filter(status=status).count()
        word = support.state(status.label, STATUS_TONES[status])
        rows.append((word, support.list_link(Message, str(number), status__exact=status.value)))
    dead = Message.CallbackState.DEAD
    number = Message.objects.filter(callback_state=dead).count()
    word = support.state(_("not told"), TELLING_TONES[dead])
    rows.append((word, support.list_link(Message, str(number), callback_state__exact=dead.value)))
    return {"title": Message._meta.verbose_name_plural, "rows": rows}


def _table(model: type[Model], field: str, tones: dict[str, str]) -> dict[str, Any]:
    words = dict(getattr(model, field.capitalize()).choices)
    counted = model._default_manager.order_by(field).values_list(field).annotate(Count("pk"))
    rows = [
        (
            support.state(words[key], tones.get(key, "off")),
            support.list_link(model, str(number), **{f"{field}__exact": key}),
        )
        for key, number in counted
    ]
    return {"title": model._meta.verbose_name_plural, "rows": rows}
