"""The webhook doors. Their addresses are registered at YClients and never change."""

from django.urls.resolvers import URLPattern, URLResolver

urlpatterns: list[URLPattern | URLResolver] = []
