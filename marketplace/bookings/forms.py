"""The forms on which support staff set a salon's messages about bookings, and try them."""

import uuid
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from marketplace.bookings import settings_changes, texts, times, wording
from marketplace.models import Company, rendering
from marketplace.models.booking_kinds import Kind
from marketplace.models.bookings import BookingSettings, check_template
from marketplace.salons.phone_numbers import NotAPhone, digits_for_salon


class WordsField(forms.CharField):
    """Words of several lines, whatever line ends a browser posts."""

    def to_python(self, value: Any) -> str:
        return settings_changes.tidy(super().to_python(value) or "")


class BookingForm(forms.ModelForm):  # type: ignore[type-arg]
    """What is told, in which language, and the words of each kind."""

    class Meta:
        model = BookingSettings
        fields = ("created_on", "moved_on", "cancelled_on", "reminder_on", "language")

    hours = forms.CharField(
        label=_("Hours before the visit"),
        max_length=times.LONGEST_FIELD,
        widget=forms.TextInput(attrs={"class": "vTextField", "placeholder": "24, 2"}),
    )
    quiet_from = forms.CharField(label=_("quiet from"), widget=forms.TimeInput(attrs={"type": "time"}))
    quiet_until = forms.CharField(label=_("quiet until"), widget=forms.TimeInput(attrs={"type": "time"}))
    version = forms.CharField(max_length=64, widget=forms.HiddenInput)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        settings = self.instance
        self.initial.update(times.shown(settings), version=settings_changes.version(settings))
        for kind in Kind:
            self.fields[f"text_{kind}"] = WordsField(
                label=kind.label,
                max_length=rendering.LONGEST_TEMPLATE,
                required=False,
                initial=wording.template_of(settings.company, kind=kind, language=settings.language),
                validators=[check_template],
                widget=forms.Textarea(attrs={"rows": 7, "class": "vLargeTextField"}),
            )

    def clean(self) -> dict[str, Any]:
        said: dict[str, Any] = super().clean() or self.cleaned_data
        if all(name in said for name in times.FIELDS):
            try:
                chosen = times.read(said)
            except forms.ValidationError as error:
                self.add_error("hours", error)
            else:
                for name, value in chosen.columns().items():
                    setattr(self.instance, name, value)
        return said

    def words(self) -> dict[Kind, str]:
        """The words as they were written, by kind; default ones and empty ones become those of the chosen
        language."""
        chosen = self.cleaned_data["language"]
        written = {kind: self.cleaned_data[f"text_{kind}"] for kind in Kind}
        return {
            kind: texts.DEFAULTS[chosen][kind]
            if not text.strip() or settings_changes.is_default(text, kind=kind)
            else text
            for kind, text in written.items()
        }

    def previews(self) -> dict[Kind, str]:
        """What a client would read, by the form if it was sent and is right, else by what is kept."""
        company: Company = self.instance.company
        if self.is_bound and self.is_valid():
            language, words = self.cleaned_data["language"], self.words()
        else:
            language = wording.settings_of(company).language
            words = {kind: wording.template_of(company, kind=kind, language=language) for kind in Kind}
        values = wording.sample_values(company, language=language, now=timezone.now())
        return {kind: rendering.render(text, values) for kind, text in words.items()}


class TryForm(forms.Form):
    """Whom to send which message. `name` makes a form that is sent twice one message."""

    kind = forms.ChoiceField(label=_("Message"), choices=Kind.choices)
    phone = forms.CharField(
        label=_("Phone"),
        max_length=40,
        widget=forms.TextInput(attrs={"inputmode": "tel", "autocomplete": "off", "class": "vTextField"}),
    )
    name = forms.UUIDField(initial=uuid.uuid4, widget=forms.HiddenInput)

    def __init__(self, *args: Any, company: Company, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.company = company

    def clean_phone(self) -> str:
        try:
            return digits_for_salon(self.cleaned_data["phone"], self.company)
        except NotAPhone as error:
            raise forms.ValidationError(str(error)) from error
