"""The addresses that YClients posts to. They are registered there and never change."""

from django.urls import include, path
from django.urls.resolvers import URLPattern, URLResolver

from marketplace.notifications import views as operator
from marketplace.webhooks import views

urlpatterns: list[URLPattern | URLResolver] = [
    path("api/", include("marketplace.api.urls")),
    path("webhook/yclients", views.webhook),
    path("webhook/yclients/<str:secret>", views.webhook),
    path("yclients/messages/", operator.messages),
    path("yclients/messages", operator.messages),
]
