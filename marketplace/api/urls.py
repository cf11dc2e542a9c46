"""Addresses of the public API; within version 1 none goes and no field changes its meaning."""

from django.urls import path
from django.urls.resolvers import URLPattern, URLResolver
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from marketplace.api.documentation import documentation_policy
from marketplace.api.media import MessageMediaView
from marketplace.api.messages import InboundView, MessagesView, MessageView
from marketplace.api.opt_outs import OptOutsView, OptOutView
from marketplace.api.sessions import SessionsView
from marketplace.api.webhook import DeliveriesView, ReplayView, WebhookView

urlpatterns: list[URLPattern | URLResolver] = [
    path("v1/messages", MessagesView.as_view()),
    path("v1/messages/<int:message_id>", MessageView.as_view()),
    path("v1/messages/<int:message_id>/media", MessageMediaView.as_view(), name="api-message-media"),
    path("v1/inbound", InboundView.as_view()),
    path("v1/sessions", SessionsView.as_view()),
    path("v1/opt-outs", OptOutsView.as_view()),
    path("v1/opt-outs/<str:phone>", OptOutView.as_view()),
    path("v1/webhook", WebhookView.as_view()),
    path("v1/webhook/deliveries", DeliveriesView.as_view()),
    path("v1/webhook/deliveries/<uuid:delivery_id>/replay", ReplayView.as_view()),
    path("schema/", SpectacularAPIView.as_view(), name="api-schema"),
    path(
        "docs/",
        documentation_policy(SpectacularSwaggerSplitView.as_view(url_name="api-schema")),
        name="api-docs",
    ),
]
