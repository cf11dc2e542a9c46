"""Keys of the public API for support staff: made for named salons, shown once, revoked."""

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from config.shared import support
from config.shared.operations import OperableAdmin, Operation
from config.shared.support import Text
from marketplace.admin.sessions import COMPANY_SECRETS, salon_name
from marketplace.api.keys import create_key, revoke_key
from marketplace.models import ApiKey, Company

MOST_SALONS = 100


class NewKeyForm(forms.ModelForm):  # type: ignore[type-arg]
    """What the key is for, its salons by their numbers, what it may do and until when."""

    salons = forms.CharField(
        label=_("Salons' numbers in YClients"), help_text=_("separated by commas"), max_length=2000
    )
    scopes = forms.MultipleChoiceField(
        label=_("May"), choices=ApiKey.Scope.choices, widget=forms.CheckboxSelectMultiple
    )

    class Meta:
        model = ApiKey
        fields = ("name", "expires_at")

    def clean_salons(self) -> list[Company]:
        written = [part.strip() for part in self.cleaned_data["salons"].split(",") if part.strip()]
        if len(written) > MOST_SALONS or not all(part.isascii() and part.isdecimal() for part in written):
            raise ValidationError(gettext("Write the salons' numbers, separated by commas."))
        found = list(Company.objects.defer(*COMPANY_SECRETS).filter(salon_id__in=map(int, written)))
        if not found or len(found) != len(set(map(int, written))):
            raise ValidationError(gettext("There is no such salon here."))
        return found

    def clean_expires_at(self) -> Any:
        expires_at = self.cleaned_data["expires_at"]
        if expires_at is not None and expires_at <= timezone.now():
            raise ValidationError(gettext("This moment has passed."))
        return expires_at


def _revoke(row: ApiKey, _cause: str) -> None:
    revoke_key(row)


def _why_not_revoke(row: ApiKey) -> Text:
    return "" if row.revoked_at is None else _("The key is revoked already.")


REVOKE = Operation(
    name="revoke",
    label=_("Revoke key"),
    consequence=_("Systems that use this key are refused from now on. This cannot be undone."),
    perform=_revoke,
    refusal=_why_not_revoke,
    destructive=True,
)


@admin.register(ApiKey)
class ApiKeyAdmin(OperableAdmin):
    """Keys with their salons; the key itself is shown once, on the page that answers its making."""

    hidden = ("key_hash",)
    operations = (REVOKE,)
    list_display = ("name", "prefix", "state_word", "used", "valid_until", "made")
    search_fields = ("name", "=prefix", "=companies__salon_id")
    fieldsets = [
        (None, {"fields": ["name", "prefix", "state_word", "salons_links", "scopes_words"]}),
        (_("Use"), {"fields": ["used", "valid_until", "made", "created_by"]}),
    ]

    used = support.moment_column("last_used_at", _("last used"))
    valid_until = support.moment_column("expires_at", _("valid until"))
    made = support.moment_column("created_at", _("made"))

    @admin.display(description=_("state"))
    def state_word(self, row: ApiKey) -> str:
        if row.revoked_at is not None:
            return support.state(_("revoked"), "bad")
        return support.state(_("valid"), "good") if row.is_valid else support.state(_("expired"), "waiting")

    @admin.display(description=_("salons"))
    def salons_links(self, row: ApiKey) -> str:
        companies = row.companies.defer(*COMPANY_SECRETS).order_by("salon_id")[:MOST_SALONS]
        return support.joined(support.link(company, salon_name(company)) for company in companies)

    @admin.display(description=_("may"))
    def scopes_words(self, row: ApiKey) -> str:
        words = dict(ApiKey.Scope.choices)
        return support.joined(str(words.get(scope, scope)) for scope in row.scopes)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.has_operate_permission(request)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return [(None, {"fields": ["name", "salons", "scopes", "expires_at"]})]
        return super().get_fieldsets(request, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return super().get_readonly_fields(request, obj) if obj is not None else ()

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = {"form": NewKeyForm} if obj is None else {}
        return super().get_form(request, obj, change, **{**kwargs, **form})

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        made, key = create_key(
            name=obj.name,
            companies=form.cleaned_data["salons"],
            scopes=form.cleaned_data["scopes"],
            expires_at=obj.expires_at,
            created_by=request.user.get_username(),
        )
        obj.pk, obj.prefix, obj.shown_key = made.pk, made.prefix, key

    def response_add(
        self, request: HttpRequest, obj: ApiKey, post_url_continue: str | None = None
    ) -> HttpResponse:
        back = reverse("admin:marketplace_apikey_change", args=[obj.pk])
        context = {
            **self.admin_site.each_context(request),
            "title": _("New API key"),
            "opts": self.opts,
            "media": self.media,
            "name": str(obj),
            "secret": obj.shown_key,
            "warning": _("This key is shown only now. Give it to the salon by a safe way."),
            "back": back,
        }
        return TemplateResponse(request, "support/secret.html", context)
