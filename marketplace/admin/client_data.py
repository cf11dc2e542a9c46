"""What is held of one client, for support staff: written out or erased after a confirmation, and audited.

The phone travels in the bodies of forms alone, so that no log of addresses has it.
"""

import json
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.serializers.json import DjangoJSONEncoder
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from config.shared import support
from config.shared.masking import mask_phone
from config.shared.support import ReadMostlyAdmin
from marketplace.models import ClientDataRequest, Company
from marketplace.privacy import client_data
from marketplace.salons import phone_numbers

Action = ClientDataRequest.Action


class ClientDataForm(forms.Form):
    """Whose data, of which salon, and what is to be done."""

    phone = forms.CharField(label=_("Client's phone"), max_length=40)
    salon_id = forms.IntegerField(
        label=_("Salon's number in YClients"), min_value=1, required=False, help_text=_("empty: all salons")
    )
    action = forms.ChoiceField(label=_("What is to be done"), choices=Action.choices)

    def clean_phone(self) -> str:
        try:
            return phone_numbers.digits_of(self.cleaned_data["phone"], region=phone_numbers.DEFAULT_REGION)
        except phone_numbers.NotAPhone as error:
            raise ValidationError(str(error)) from error

    def clean_salon_id(self) -> int | None:
        salon_id: int | None = self.cleaned_data["salon_id"]
        if salon_id is not None and not Company.objects.filter(salon_id=salon_id).exists():
            raise ValidationError(gettext("There is no such salon here."))
        return salon_id


@admin.register(ClientDataRequest)
class ClientDataRequestAdmin(ReadMostlyAdmin):
    """The audit; "add" is a new export or erasure."""

    list_display = ("created", "action_word", "phone", "salon", "who", "rows")
    list_filter = (("action", support.titled(_("What is to be done"))),)
    search_fields = ("=salon_id", "by")
    fieldsets = [(None, {"fields": ["created", "action_word", "phone", "salon", "who", "rows"]})]

    created = support.moment_column("created_at", _("time"))
    action_word = support.state_column("action", _("action"), {"export": "good", "erase": "bad"})
    phone = support.plain_column("phone_masked", _("phone"))
    who = support.plain_column("by", _("who"))

    @admin.display(description=_("salon"), ordering="salon_id")
    def salon(self, row: ClientDataRequest) -> str:
        return str(row.salon_id) if row.salon_id else gettext("all salons")

    @admin.display(description=_("rows"))
    def rows(self, row: ClientDataRequest) -> str:
        return ", ".join(f"{name} {number}" for name, number in row.counts.items() if number) or "0"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.has_operate_permission(request)

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """GET shows the form; its POST shows what would be done; the confirmed POST does it."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = ClientDataForm(request.POST or None)
        if request.method != "POST" or not form.is_valid():
            return self._page(request, form, counts=None)
        chosen = {"phone": form.cleaned_data["phone"], "salon_id": form.cleaned_data["salon_id"]}
        if "confirmed" not in request.POST:
            return self._page(request, form, counts=client_data.count(**chosen))
        by = f"support: {request.user.get_username()}"
        if form.cleaned_data["action"] == Action.EXPORT:
            return _file(client_data.export(**chosen, by=by))
        return self._erase(request, by=by, **chosen)

    def _erase(self, request: HttpRequest, *, phone: str, salon_id: int | None, by: str) -> HttpResponse:
        counts = client_data.erase(phone=phone, salon_id=salon_id, by=by)
        if counts["in_flight"]:
            text = gettext("Messages are just being sent; erase once more in a minute.")
            self.message_user(request, text, messages.WARNING)
        erased = gettext("The data of %(phone)s was erased.") % {"phone": mask_phone(phone)}
        self.message_user(request, erased, messages.SUCCESS)
        return HttpResponseRedirect(reverse("admin:marketplace_clientdatarequest_changelist"))

    def _page(
        self, request: HttpRequest, form: ClientDataForm, *, counts: dict[str, int] | None
    ) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("What is held of a client"),
            "opts": self.opts,
            "media": self.media,
            "form": form,
            "counts": counts,
            "erases": counts is not None and form.cleaned_data["action"] == Action.ERASE,
            "back": reverse("admin:marketplace_clientdatarequest_changelist"),
        }
        return TemplateResponse(request, "support/client_data.html", context)


def _file(found: dict[str, Any]) -> HttpResponse:
    content = json.dumps(found, indent=2, ensure_ascii=False, cls=DjangoJSONEncoder)
    return HttpResponse(
        content,
        content_type="application/json",
        headers={
            "Content-Disposition": 'attachment; filename="client-data.json"',
            "Cache-Control": "no-store",
        },
    )
