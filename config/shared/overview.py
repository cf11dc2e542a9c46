"""What the first page of the admin shows: counts as bars, and plots over time; each app registers its own
beside its lists. Every number is a link to the list of exactly what it counts.
"""

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth import get_permission_codename
from django.db.models import Count, Model
from django.http import HttpRequest
from django.utils.safestring import SafeString

from config.shared import support
from config.shared.counting import bounded_count, counted
from config.shared.periods import Period
from config.shared.support import Text


@dataclass(frozen=True, slots=True)
class Bar:
    """A coloured word, a number that links to its list, how long its bar is, and a remark."""

    word: str
    number: str
    length: float = 0  # no bar when all are 0
    tone: str = "off"
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """A title and rows of numbers; `empty` is said when there is none."""

    title: Text
    bars: Sequence[Bar]
    empty: Text = ""

    def drawn(self) -> list[tuple[Bar, int]]:
        """The bars with their lengths in percent of the longest one."""
        longest = max((bar.length for bar in self.bars), default=0)
        return [(bar, round(100 * bar.length / longest) if longest else 0) for bar in self.bars]


@dataclass(frozen=True, slots=True)
class Series:
    """One kind of thing in a plot; `key` names its colour (static/support/overview.css)."""

    key: str
    name: Text


@dataclass(frozen=True, slots=True)
class Plot:
    """Numbers over a period, stacked: a row of cells for each step, a cell for each series."""

    title: Text
    series: Sequence[Series]
    rows: Sequence[tuple[str, Sequence[str]]]
    values: Sequence[Sequence[int]]
    counted: str = ""  # when; empty when the page itself counted

    def is_empty(self) -> bool:
        """Nothing was counted in the whole period."""
        return not any(value for values in self.values for value in values)

    def drawn(self) -> str:
        """What the page's script draws, as JSON."""
        shown = {
            "steps": [step for step, _cells in self.rows],
            "series": [
                {"key": each.key, "name": str(each.name), "values": [row[at] for row in self.values]}
                for at, each in enumerate(self.series)
            ],
        }
        return json.dumps(shown)


_panels: list[Callable[[HttpRequest], Panel | None]] = []
_plots: list[tuple[type[Model], Callable[[Period], Plot]]] = []


def register_panel(model: type[Model], read: Callable[[], Panel]) -> None:
    """Show what `read` returns to staff who may view `model`."""
    _panels.append(lambda request: read() if may_view(request, model) else None)


def register_shared_panel(
    models: Iterable[type[Model]], read: Callable[[Collection[type[Model]]], Panel]
) -> None:
    """Show what `read` returns for those of `models` that the staff may view; nothing for none of them."""
    among = list(models)

    def read_viewable(request: HttpRequest) -> Panel | None:
        viewable = [model for model in among if may_view(request, model)]
        return read(viewable) if viewable else None

    _panels.append(read_viewable)


def register_plot(model: type[Model], read: Callable[[Period], Plot]) -> None:
    """Show what `read` returns for the chosen period to staff who may view `model`."""
    _plots.append((model, read))


def panels_for(request: HttpRequest) -> list[Panel]:
    """The panels that this user may see, in the order of their registration; asks the database."""
    return [panel for read in _panels if (panel := read(request)) is not None]


def plots_for(request: HttpRequest, period: Period) -> list[Plot]:
    """The plots that this user may see, in the order of their registration; asks the database."""
    return [read(period) for model, read in _plots if may_view(request, model)]


def panel_of_all(model: type[Model], field: str, tones: Mapping[str, str]) -> Panel:
    """Every row counted by a field with choices; for small tables. What nothing is in is left out."""
    words = dict(model._meta.get_field(field).choices or ())  # type: ignore[union-attr]
    found = dict(model._default_manager.order_by(field).values_list(field).annotate(Count("pk")))
    bars = [
        _bar(model, field, key, str(found[key]), found[key], words[key], tones.get(key, "off"))
        for key in words
        if key in found
    ]
    return Panel(model._meta.verbose_name_plural or "", bars)


def bars_of(
    model: type[Model], field: str, words: Iterable[tuple[Any, Text]], tones: Mapping[str, str]
) -> list[Bar]:
    """Bars for chosen values of `field` alone, each counted by an index of its own and as far as needed."""
    bars = []
    for value, word in words:
        number = bounded_count(model._default_manager.filter(**{field: value}))
        bars.append(_bar(model, field, value, counted(number), number, word, tones.get(value, "off")))
    return bars


def _bar(model: type[Model], field: str, value: Any, shown: str, number: int, word: Text, tone: str) -> Bar:
    link = support.list_link(model, shown, **{f"{field}__exact": value})
    return Bar(support.state(word, tone), link, number, tone)


def cell(
    model: type[Model], number: int, *, at: str, period: Period, start: datetime, **query: Any
) -> SafeString:
    """A step's number that links to its list: the rows of `query` whose column `at` lies in the step.

    Empty for none.
    """
    if not number:
        return SafeString("")
    return support.list_link(model, str(number), **query, **period.bounds(at, start))


def may_view(request: HttpRequest, model: type[Model]) -> bool:
    """The user has the view permission of the model."""
    code = get_permission_codename("view", model._meta)
    return request.user.has_perm(f"{model._meta.app_label}.{code}")
