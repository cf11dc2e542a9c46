"""What the admin pages of all apps share: read-mostly, states as coloured words, times as people say them.

No page loads a secret: `hidden` columns are not even read from the database. Phones are masked in lists and
shown in full on a detail page to those who may also act (the model's change permission).
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.contrib import admin
from django.contrib.admin.utils import flatten_fieldsets
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.functional import Promise
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.timesince import timesince, timeuntil
from django.utils.translation import gettext as _

from config.shared.masking import mask_data, mask_phone, mask_text

if TYPE_CHECKING:  # the stubs' admin is generic, Django's is not
    from django.utils.functional import _StrPromise

    ModelAdmin = admin.ModelAdmin[Any]
    Text = str | _StrPromise
else:
    ModelAdmin, Text = admin.ModelAdmin, str | Promise

Column = Callable[[Any, Any], str]
NOTHING = "–"


def state(word: Text, tone: str) -> SafeString:
    """A coloured word; tones are good, busy, waiting, bad and off (static/support/admin.css)."""
    return format_html('<span class="state state-{}">{}</span>', tone, word)


def moment(at: datetime | None) -> str:
    """`3 minutes ago`, with the exact time in UTC on hover."""
    if at is None:
        return NOTHING
    now = timezone.now()
    if abs((now - at).total_seconds()) < 60:
        said = _("just now") if at <= now else _("in a moment")
    elif at < now:
        said = _("%(time)s ago") % {"time": timesince(at, now, depth=1)}
    else:
        said = _("in %(time)s") % {"time": timeuntil(at, now, depth=1)}
    exact = f"{date_format(at, 'j E Y')} {at:%H:%M:%S} UTC"
    return format_html('<time datetime="{}" title="{}">{}</time>', at.isoformat(), exact, said)


def link(target: Model, text: str) -> SafeString:
    """A link to an object's admin page."""
    meta = target._meta
    address = reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[target.pk])
    return format_html('<a href="{}">{}</a>', address, text)


def list_link(model: type[Model], text: Text, **query: Any) -> SafeString:
    """A link to a model's admin list, filtered by `query`."""
    meta = model._meta
    address = reverse(f"admin:{meta.app_label}_{meta.model_name}_changelist")
    return format_html('<a href="{}?{}">{}</a>', address, urlencode(query), text)


def page_link(name: str, key: Any, text: Text) -> SafeString:
    """A link to a page of the admin that is neither a list nor an object's own."""
    return format_html('<a href="{}">{}</a>', reverse(f"admin:{name}", args=[key]), text)


def block(text: str) -> str:
    """Text with its line breaks, such as a traceback; secrets and phones masked."""
    return format_html('<pre class="support-block">{}</pre>', mask_text(text)) if text else NOTHING


def json_block(value: Any, *, phones: bool) -> SafeString:
    """JSON for reading, secrets hidden; phones in full only on demand."""
    shown = json.dumps(mask_data(value, phones=phones), indent=2, ensure_ascii=False, default=str)
    return format_html('<pre class="support-block">{}</pre>', shown)


def titled(title: Text, kind: Any = admin.FieldListFilter) -> Any:
    """A list filter of `kind` under a title of its own, where the field's name would be shown."""

    class Titled(admin.FieldListFilter):
        def __new__(cls, *args: Any, **kwargs: Any) -> Any:
            made = kind.create(*args, **kwargs) if kind is admin.FieldListFilter else kind(*args, **kwargs)
            made.title = title
            return made

    return Titled


def words_filter(
    title: Text, field: str, choices: Iterable[tuple[str, Text]]
) -> type[admin.SimpleListFilter]:
    """A list filter, in words, of a column that has machine words and no choices of its own."""
    words, named = list(choices), title

    class Words(admin.SimpleListFilter):
        title = named
        parameter_name = field

        def lookups(self, _request: HttpRequest, _model_admin: Any) -> list[tuple[str, Any]]:
            return words

        def queryset(self, _request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
            return queryset.filter(**{field: self.value()}) if self.value() else queryset

    return Words


def moment_column(field: str, label: Text) -> Column:
    """A list column and detail field for a time."""

    @admin.display(description=label, ordering=field)
    def show(_self: Any, row: Any) -> str:
        return moment(getattr(row, field))

    return show


def state_column(field: str, label: Text, tones: Mapping[str, str]) -> Column:
    """A list column and detail field for a field with choices; what `tones` does not name is "off"."""

    @admin.display(description=label, ordering=field)
    def show(_self: Any, row: Any) -> str:
        return state(getattr(row, f"get_{field}_display")(), tones.get(getattr(row, field), "off"))

    return show


def plain_column(field: str, label: Text) -> Column:
    """A list column and detail field for a value under a translated name, which the model's own lacks."""

    @admin.display(description=label, ordering=field)
    def show(_self: Any, row: Any) -> str:
        value = getattr(row, field)
        return NOTHING if value in (None, "") else str(value)

    return show


def masked_phone_column(field: str, label: Text) -> Column:
    """A phone of which two salons can be told apart, and nobody called."""

    @admin.display(description=label, ordering=field)
    def show(_self: Any, row: Any) -> str:
        value = str(getattr(row, field))
        return mask_phone(value) if value else NOTHING

    return show


def block_field(field: str, label: Text) -> Column:
    """A detail field for a long text."""

    @admin.display(description=label)
    def show(_self: Any, row: Any) -> str:
        return block(getattr(row, field))

    return show


class ReadMostlyAdmin(ModelAdmin):
    """Nothing is added, edited or deleted here; what can be done are the named operations."""

    hidden: tuple[str, ...] = ()
    # Long fields that no list shows: read from the database only where an object's own page asks for one.
    unlisted: tuple[str, ...] = ()
    # Shown in full to those who may act, by their masked columns to others: {field: masked column}.
    private: Mapping[str, str] = {}
    digits_search: tuple[str, ...] = ()
    list_per_page = 50
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """May act, and see private fields: the change permission of the model."""
        return super().has_change_permission(request)

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        return super().changelist_view(
            request, {"title": capfirst(self.opts.verbose_name_plural), **(extra_context or {})}
        )

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        context = {"title": capfirst(self.opts.verbose_name), **(extra_context or {})}
        return super().change_view(request, object_id, form_url, context)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).defer(*self.hidden, *self.unlisted)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        fieldsets = super().get_fieldsets(request, obj)
        if self.has_operate_permission(request):
            return fieldsets
        return [
            (title, {**options, "fields": [self.private.get(str(name), name) for name in options["fields"]]})
            for title, options in fieldsets
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return flatten_fieldsets(self.get_fieldsets(request, obj))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Also find a phone typed with spaces, brackets and a plus."""
        found, duplicates = super().get_search_results(request, queryset, search_term)
        digits = re.sub(r"[\s()+-]", "", search_term)
        if digits.isascii() and digits.isdecimal() and len(digits) >= 4:
            for field in self.digits_search:
                found |= queryset.filter(**{f"{field}__contains": digits})
        return found, duplicates


def joined(parts: Iterable[str]) -> SafeString:
    """Pieces of HTML in one line."""
    made = SafeString("")
    for part in parts:
        made = format_html("{}, {}", made, part) if made else format_html("{}", part)
    return made
