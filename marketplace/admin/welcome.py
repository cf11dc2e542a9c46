"""The welcome's words for support staff, with a preview before they are kept."""

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.urls.resolvers import URLPattern
from django.utils.translation import gettext_lazy as _

from config.shared import support
from config.shared.support import ReadMostlyAdmin
from marketplace.inbound import welcome
from marketplace.models.welcome import WelcomeText

SAMPLE = {"ru": "Студия «Ножницы» (307626)", "en": "Scissors Studio (307626)"}


class WelcomeForm(forms.ModelForm):  # type: ignore[type-arg]
    """The words of one language."""

    class Meta:
        model = WelcomeText
        fields = ("language", "text")
        widgets = {"text": forms.Textarea(attrs={"class": "vLargeTextField", "rows": 14})}
        help_texts = {
            "text": _("{salon} is replaced by the salon's name. Say here how the salon reaches you for help.")
        }

    def clean_text(self) -> str:
        text: str = self.cleaned_data["text"]
        welcome.check_text(text)
        return text


@admin.register(WelcomeText)
class WelcomeTextAdmin(ReadMostlyAdmin):
    """Words that go before ours; deleting them brings ours back."""

    form = WelcomeForm
    change_form_template = "support/welcome_form.html"
    list_display = ("language_word", "beginning", "changed")
    fieldsets = [(None, {"fields": ["language", "text"]})]

    changed = support.moment_column("updated_at", _("changed"))

    @admin.display(description=_("language"), ordering="language")
    def language_word(self, row: WelcomeText) -> str:
        return row.get_language_display()

    @admin.display(description=_("text"))
    def beginning(self, row: WelcomeText) -> str:
        return row.text[:80]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.has_operate_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_operate_permission(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_operate_permission(request)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return () if self.has_operate_permission(request) else super().get_readonly_fields(request, obj)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """A new text begins with our own words of a language that has none yet."""
        taken = set(WelcomeText.objects.values_list("language", flat=True))
        free = next((code for code in welcome.DEFAULT_TEXTS if code not in taken), "ru")
        return {"language": free, "text": welcome.DEFAULT_TEXTS[free]}

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: Any = None,
    ) -> HttpResponse:
        more = {"preview_url": reverse("admin:marketplace_welcometext_preview"), **(extra_context or {})}
        response: HttpResponse = super().changeform_view(request, object_id, form_url, more)
        return response

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.preview)
        return [path("preview/", view, name="marketplace_welcometext_preview"), *super().get_urls()]

    def preview(self, request: HttpRequest) -> HttpResponse:
        """Show posted words as a salon would read them; keeps nothing."""
        if not self.has_operate_permission(request):
            raise PermissionDenied
        text = request.POST.get("text", "")
        language = request.POST.get("language", "ru")
        try:
            welcome.check_text(text)
            problem = ""
        except ValidationError as error:
            problem = error.messages[0]
        shown = welcome.filled_in(text, salon=SAMPLE.get(language, SAMPLE["ru"]))
        context = {
            **self.admin_site.each_context(request),
            "title": _("Preview"),
            "opts": self.opts,
            "media": self.media,
            "shown": shown,
            "problem": problem,
        }
        return TemplateResponse(request, "support/welcome_preview.html", context)
