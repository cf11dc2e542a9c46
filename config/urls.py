"""Addresses. Those that YClients and live pages call are fixed by agreement and never change."""

from django.conf import settings
from django.contrib import admin
from django.urls import include, path
from django.urls.resolvers import URLPattern, URLResolver
from django.views.generic import RedirectView

from config import health

urlpatterns: list[URLPattern | URLResolver] = [
    path("healthz", health.healthz),
    path("readyz", health.readyz),
    path("marketplace/health", health.marketplace_health),
    path("metrics", health.metrics),
    # Asked for by browsers on pages that name no icon: the admin's.
    path("favicon.ico", RedirectView.as_view(url=f"{settings.STATIC_URL}onboarding/icon.svg")),
    path("admin/", admin.site.urls),
    path("", include("marketplace.urls")),
    path("", include("onboarding.urls")),
]
handler400 = "onboarding.error_views.bad_request"
handler403 = "onboarding.error_views.forbidden"
handler404 = "onboarding.error_views.not_found"
handler500 = "onboarding.error_views.server_error"
