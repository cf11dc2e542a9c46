"""The panels of counts on the first page of the admin; each app registers its own beside its lists."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.auth import get_permission_codename
from django.db.models import Count, Model
from django.http import HttpRequest

from config.shared import support
from config.shared.counting import bounded_count, counted
from config.shared.support import Text


@dataclass(frozen=True, slots=True)
class Panel:
    """A title, and rows of a coloured word and a count that links to the list."""

    title: Text
    rows: Sequence[tuple[str, str]]


_panels: list[tuple[type[Model], Callable[[], Panel]]] = []


def register_panel(model: type[Model], read: Callable[[], Panel]) -> None:
    """Show what `read` returns to staff who may view `model`."""
    _panels.append((model, read))


def panels_for(request: HttpRequest) -> list[Panel]:
    """The panels that this user may see, in the order of their registration; asks the database."""
    return [read() for model, read in _panels if _may_view(request, model)]


def panel_of_all(model: type[Model], field: str, tones: Mapping[str, str]) -> Panel:
    """Every row counted by a field with choices; for small tables. What nothing is in is left out."""
    words = dict(model._meta.get_field(field).choices or ())  # type: ignore[union-attr]
    found = model._default_manager.order_by(field).values_list(field).annotate(Count("pk"))
    rows = [
        (
            support.state(words[key], tones.get(key, "off")),
            support.list_link(model, str(number), **{f"{field}__exact": key}),
        )
        for key, number in found
    ]
    return Panel(model._meta.verbose_name_plural or "", rows)


def rows_of(
    model: type[Model], field: str, words: Iterable[tuple[Any, Text]], tones: Mapping[str, str]
) -> list[tuple[str, str]]:
    """Rows for chosen values of `field` alone, each counted by an index of its own and as far as needed."""
    return [
        (
            support.state(word, tones.get(value, "off")),
            support.list_link(
                model,
                counted(bounded_count(model._default_manager.filter(**{field: value}))),
                **{f"{field}__exact": value},
            ),
        )
        for value, word in words
    ]


def _may_view(request: HttpRequest, model: type[Model]) -> bool:
    code = get_permission_codename("view", model._meta)
    return request.user.has_perm(f"{model._meta.app_label}.{code}")
