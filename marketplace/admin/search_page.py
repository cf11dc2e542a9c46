"""The page that answers support's search box."""

from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path
from django.urls.resolvers import URLPattern
from django.utils.translation import gettext_lazy as _

from config.shared.operations import OperableAdmin
from marketplace.admin.search import search

SEARCH_PAGE = "support_search"


class WithSearch(OperableAdmin):
    """Adds the page to the admin of salons; each part of it needs the permission to view what it shows."""

    def get_urls(self) -> list[URLPattern]:
        return [
            path("search/", self.admin_site.admin_view(self.search), name=SEARCH_PAGE),
            *super().get_urls(),
        ]

    def search(self, request: HttpRequest) -> HttpResponse:
        """`q` is what to look for."""
        context = {
            **self.admin_site.each_context(request),
            "title": _("Search"),
            "opts": self.opts,
            "media": self.media,
            **search(request, request.GET.get("q", "")),
        }
        return TemplateResponse(request, "support/search.html", context)
