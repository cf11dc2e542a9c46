"""Actions of support staff: asked for in the list or on a page, confirmed in words, written to the history.

An operation changes rows only; whatever needs the network is then done by a pool or a worker.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import structlog
from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.urls.resolvers import URLPattern
from django.utils.translation import gettext as _

from config.shared.masking import hide_secrets
from config.shared.support import ReadMostlyAdmin, Text

log = structlog.get_logger("support")

MOST_AT_ONCE = 100
REASON_LENGTH = 200


class Refused(Exception):
    """The operation cannot be done on this object now; the message is a sentence for the staff."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that staff can do to an object.

    `perform(object, cause)` does it and may raise Refused; `refusal(object)` says beforehand why it cannot be
    done, or nothing. `consequence` says in words what will happen.
    """

    name: str
    label: Text
    consequence: Text
    perform: Callable[[Any, str], None]
    refusal: Callable[[Any], Text]
    destructive: bool = False


class OperableAdmin(ReadMostlyAdmin):
    """A read-mostly admin with operations as list actions and as buttons on the page of an object."""

    operations: tuple[Operation, ...] = ()
    change_form_template = "support/change_form.html"

    def describe(self, row: Any) -> str:
        """What the confirmation, the messages and the log call the object."""
        return str(row)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        if not self.has_operate_permission(request):
            return {}
        return {
            operation.name: (_ask_for(operation), operation.name, operation.label)
            for operation in self.operations
        }

    def get_urls(self) -> list[URLPattern]:
        own = path("operate/<slug:name>/", self.admin_site.admin_view(self.operate), name=self._url_name())
        return [own, *super().get_urls()]

    def _url_name(self) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_operate"

    def confirmation_url(self, operation: Operation, keys: list[Any]) -> str:
        """Where the operation on these objects is confirmed."""
        address = reverse(f"admin:{self._url_name()}", args=[operation.name])
        return f"{address}?{urlencode([('id', key) for key in keys])}"

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        row = self.get_object(request, object_id)
        buttons = []
        if row is not None and self.has_operate_permission(request):
            buttons = [
                {"operation": each, "url": self.confirmation_url(each, [row.pk])}
                for each in self.operations
                if not each.refusal(row)
            ]
        context = {**(extra_context or {}), "operation_buttons": buttons}
        return super().change_view(request, object_id, form_url, context)

    def operate(self, request: HttpRequest, name: str) -> HttpResponse:
        """GET asks for the confirmation and changes nothing; POST does it."""
        operation = next((each for each in self.operations if each.name == name), None)
        if operation is None:
            raise Http404
        if not self.has_operate_permission(request):
            raise PermissionDenied
        keys = (request.POST if request.method == "POST" else request.GET).getlist("id")
        rows = self._chosen(request, keys)
        if request.method == "POST":
            reason = hide_secrets(request.POST.get("reason", "").strip()[:REASON_LENGTH])
            for row in rows:
                self._perform(request, operation, row, reason)
            return HttpResponseRedirect(self._back(rows))
        return self._confirmation(request, operation, rows)

    def _chosen(self, request: HttpRequest, keys: list[str]) -> list[Any]:
        try:
            rows = list(self.get_queryset(request).filter(pk__in=keys[:MOST_AT_ONCE]).order_by("pk"))
        except (ValueError, ValidationError):
            rows = []
        if not rows:
            raise Http404
        return rows

    def _back(self, rows: list[Any]) -> str:
        names = f"admin:{self.opts.app_label}_{self.opts.model_name}"
        return (
            reverse(f"{names}_change", args=[rows[0].pk])
            if len(rows) == 1
            else reverse(f"{names}_changelist")
        )

    def _confirmation(self, request: HttpRequest, operation: Operation, rows: list[Any]) -> HttpResponse:
        listed = [{"row": row, "name": self.describe(row), "refusal": operation.refusal(row)} for row in rows]
        context = {
            **self.admin_site.each_context(request),
            "title": operation.label,
            "opts": self.opts,
            "media": self.media,
            "operation": operation,
            "listed": listed,
            "possible": sum(not each["refusal"] for each in listed),
            "back": self._back(rows),
            "reason_length": REASON_LENGTH,
        }
        return TemplateResponse(request, "support/confirm.html", context)

    def _perform(self, request: HttpRequest, operation: Operation, row: Any, reason: str) -> None:
        """Do it and write it to the history, both or neither, and say how it went."""
        named = {"action": operation.label, "name": self.describe(row)}
        who = request.user.get_username()
        try:
            if refusal := operation.refusal(row):
                raise Refused(str(refusal))
            with transaction.atomic():
                operation.perform(row, f"support: {who}" + (f": {reason}" if reason else ""))
                self.log_change(request, row, f"{operation.label}. {reason}".strip())
        except Refused as refused:
            text = _("%(action)s: not done for %(name)s. %(reason)s")
            self.message_user(request, text % {**named, "reason": refused}, messages.ERROR)
        except Exception:
            log.exception("operation failed", operation=operation.name, model=self.opts.label, pk=str(row.pk))
            text = _("%(action)s: failed for %(name)s. Nothing was changed; the log says why.")
            self.message_user(request, text % named, messages.ERROR)
        else:
            log.info("operation", operation=operation.name, model=self.opts.label, pk=str(row.pk), user=who)
            self.message_user(request, _("%(action)s: done for %(name)s.") % named, messages.SUCCESS)


def _ask_for(operation: Operation) -> Any:
    """The list action: leads to the confirmation of the chosen rows."""

    def ask(model_admin: OperableAdmin, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        keys = list(queryset.values_list("pk", flat=True)[: MOST_AT_ONCE + 1])
        if len(keys) > MOST_AT_ONCE:
            text = _("Choose at most %(most)d at once.") % {"most": MOST_AT_ONCE}
            model_admin.message_user(request, text, messages.ERROR)
            return None
        return HttpResponseRedirect(model_admin.confirmation_url(operation, keys))

    return ask
