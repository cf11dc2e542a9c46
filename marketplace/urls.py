"""The webhook doors. Their addresses are registered at YClients and never change."""

from django.urls import path
from django.urls.resolvers import URLPattern, URLResolver

from marketplace import views

urlpatterns: list[URLPattern | URLResolver] = [
    path("webhook/yclients", views.webhook),
    path("webhook/yclients/<str:secret>", views.webhook),
]
