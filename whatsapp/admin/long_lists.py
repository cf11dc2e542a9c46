"""Lists in the admin over tables with millions of rows: no page counts them all."""

from functools import cached_property
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.http import HttpRequest

from config.shared.counting import MOST_COUNTED, bounded_count
from config.shared.support import ModelAdmin

if TYPE_CHECKING:  # the stubs' paginator is generic, Django's is not
    AnyPaginator = Paginator[Any]
else:
    AnyPaginator = Paginator

LARGEST_NUMBER = 2**63 - 1  # of a row


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
