"""Opt-outs for support staff: found by phone, undone or noted when a client says so to a person."""

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from config.shared import support
from config.shared.masking import mask_phone
from config.shared.operations import OperableAdmin, Operation
from config.shared.support import Text
from marketplace.admin.sessions import COMPANY_SECRETS, salon_name
from marketplace.inbound import opt_outs
from marketplace.models import Company, OptOut
from marketplace.salons import phone_numbers


class SalonForm(forms.ModelForm):  # type: ignore[type-arg]
    """A form whose salon is named by its number in YClients."""

    salon = forms.IntegerField(label=_("Salon's number in YClients"), min_value=1)

    def clean_salon(self) -> Company:
        company = Company.objects.defer(*COMPANY_SECRETS).filter(salon_id=self.cleaned_data["salon"]).first()
        if company is None:
            raise ValidationError(gettext("There is no such salon here."))
        return company


class OptOutForm(SalonForm):
    """A client's wish, told to a person; the phone in any form that people write."""

    phone = forms.CharField(label=_("Client's phone"), max_length=40)

    class Meta:
        model = OptOut
        fields = ("salon", "phone", "scope")
        labels = {"scope": _("No more")}

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        company: Company | None = cleaned.get("salon")
        if company is None or "phone" not in cleaned:
            return cleaned
        try:
            cleaned["phone"] = phone_numbers.digits_for_salon(cleaned["phone"], company)
        except phone_numbers.NotAPhone as error:
            self.add_error("phone", str(error))
            return cleaned
        if opt_outs.opted_out(company_ids=[company.pk], phone=cleaned["phone"], everything=True):
            self.add_error("phone", gettext("The client has opted out already."))
        return cleaned


def _undo(row: OptOut, cause: str) -> None:
    opt_outs.opt_in(company_ids=[row.company_id], phone=row.phone, said_by=cause)


def _why_not_undo(row: OptOut) -> Text:
    return "" if row.holds else _("The client gets messages again already.")


UNDO = Operation(
    name="undo",
    label=_("Undo opt-out"),
    consequence=_(
        "The client gets advertising and messages about bookings from this salon again. Do this only when "
        "the client asks for it. What was not sent meanwhile is not sent now."
    ),
    perform=_undo,
    refusal=_why_not_undo,
)


class HoldsFilter(admin.SimpleListFilter):
    """Those that hold, or those that were undone."""

    title = _("State")
    parameter_name = "holds"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("yes", _("opted out")), ("no", _("gets messages again"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        chosen = self.value()
        return queryset.filter(undone_at__isnull=chosen == "yes") if chosen else queryset


@admin.register(OptOut)
class OptOutAdmin(OperableAdmin):
    """Who wants no messages of which salon."""

    hidden = tuple(f"company__{name}" for name in COMPANY_SECRETS)
    operations = (UNDO,)
    list_display = ("phone_masked", "salon_link", "holds_word", "scope_word", "said", "by")
    list_filter = (
        HoldsFilter,
        ("scope", support.titled(_("No more"))),
        ("said_at", support.titled(_("Time"), admin.DateFieldListFilter)),
    )
    list_select_related = ("company",)
    search_fields = ("=company__salon_id", "company__title", "phone")
    search_help_text = _("A phone or a part of it, a salon's number or name")
    digits_search = ("phone",)
    ordering = ("-said_at",)
    private = {"phone_full": "phone_masked"}
    fieldsets = [(None, {"fields": ["phone_full", "salon_link", "holds_word", "scope_word", "said", "by"]})]

    phone_full = support.plain_column("phone", _("phone"))

    @admin.display(description=_("phone"), ordering="phone")
    def phone_masked(self, row: OptOut) -> str:
        return mask_phone(row.phone) if row.phone else gettext("erased")

    said = support.moment_column("said_at", _("said"))

    @admin.display(description=_("salon"), ordering="company__title")
    def salon_link(self, row: OptOut) -> str:
        return support.link(row.company, salon_name(row.company))

    @admin.display(description=_("state"), ordering="undone_at")
    def holds_word(self, row: OptOut) -> str:
        return (
            support.state(_("opted out"), "off")
            if row.holds
            else support.state(_("gets messages again"), "good")
        )

    @admin.display(description=_("no more"), ordering="scope")
    def scope_word(self, row: OptOut) -> str:
        return row.get_scope_display()

    @admin.display(description=_("who said so"), ordering="said_by")
    def by(self, row: OptOut) -> str:
        return row.said_by or gettext("the client")

    def describe(self, row: OptOut) -> str:
        return f"{self.phone_masked(row)}, {salon_name(row.company)}"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.has_operate_permission(request)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return [(None, {"fields": ["salon", "phone", "scope"]})]
        return super().get_fieldsets(request, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return super().get_readonly_fields(request, obj) if obj else ()

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        return super().get_form(request, obj, change, **kwargs if obj else {**kwargs, "form": OptOutForm})

    def save_model(self, request: HttpRequest, obj: OptOut, form: Any, change: bool) -> None:
        """Note it as the client's own word would be, which also ends what waits for the client."""
        company, phone = form.cleaned_data["salon"], form.cleaned_data["phone"]
        by = f"support: {request.user.get_username()}"
        opt_outs.opt_out(company_ids=[company.pk], phone=phone, scope=obj.scope, said_by=by)
        kept = OptOut.objects.get(company=company, phone=phone)
        obj.pk, obj.company, obj.phone = kept.pk, company, phone
