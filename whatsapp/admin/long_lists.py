"""Lists in the admin over tables with millions of rows: no page counts them all."""

import re
from functools import cached_property
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db.models import Q
from django.db.models.functions import Reverse
from django.db.models.lookups import GreaterThanOrEqual, LessThan
from django.http import HttpRequest

from config.shared.counting import MOST_COUNTED, bounded_count
from config.shared.support import ModelAdmin
from whatsapp.sessions import services

if TYPE_CHECKING:  # the stubs' paginator is generic, Django's is not
    AnyPaginator = Paginator[Any]
else:
    AnyPaginator = Paginator

LARGEST_NUMBER = 2**63 - 1  # of a row
TAIL_AT_LEAST = 4  # digits; fewer would find half the table


class BoundedPaginator(AnyPaginator):
    """Counts as far as somebody might page by hand; what lies beyond is found by filters and the search."""

    @cached_property
    def count(self) -> int:
        """The number of rows, at most MOST_COUNTED + 1."""
        listed: Any = self.object_list
        return bounded_count(listed, MOST_COUNTED)


class LongList(ChangeList):
    """Says when there are more rows than were counted."""

    def get_results(self, request: Any) -> None:
        super().get_results(request)
        self.counted_all = self.result_count <= MOST_COUNTED


class LongListAdmin(ModelAdmin):
    """Mixed into an admin: newest first, bounded counting, no sorting that has no index, no facets."""

    paginator = BoundedPaginator
    sortable_by = ()
    show_facets = admin.ShowFacets.NEVER
    show_full_result_count = False
    list_max_show_all = 0
    ordering = ("-id",)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return LongList


def digits_in(term: str) -> str:
    """The digits of a phone or number typed in any human form; empty for anything else."""
    digits = re.sub(r"[\s()+.#-]", "", term)
    return digits if digits.isascii() and digits.isdecimal() else ""


def phone_is(digits: str) -> Q:
    """Condition on a `phone` column with a Reverse index: this number, or one that ends so.

    Ten digits and more are a whole number, national forms are read as Russian; from four on they are the
    last ones; fewer match nothing.
    """
    if len(digits) < TAIL_AT_LEAST:
        return Q(pk__in=[])
    if len(digits) < 10:
        return _phone_ends_with(digits)
    try:
        return Q(phone__in={digits, services.normalise_phone(digits)})
    except services.InvalidPhone:
        return Q(phone=digits)


def _phone_ends_with(digits: str) -> Q:
    """A range: LIKE would want an index for one collation, and digits have the same order in all of them."""
    begin = digits[::-1]
    condition = Q(GreaterThanOrEqual(Reverse("phone"), begin))
    if rest := begin.rstrip("9"):
        condition &= Q(LessThan(Reverse("phone"), f"{rest[:-1]}{int(rest[-1]) + 1}"))
    return condition
