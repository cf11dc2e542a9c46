"""Addresses of the onboarding page; YClients and live pages call them, so they never change."""

from django.urls import path
from django.urls.resolvers import URLPattern, URLResolver

from onboarding import api, legal, views
from onboarding.consumers import OnboardingConsumer

urlpatterns: list[URLPattern | URLResolver] = [
    path("auth/yclients/redirect", views.arrive, name="arrive"),
    path("marketplace/onboarding", views.onboarding, name="onboarding"),
    path("privacy", legal.privacy, name="privacy"),
    path("terms", legal.terms, name="terms"),
    path("marketplace/activate", api.activate, name="activate"),
    path("marketplace/api/status/<str:session_id>", api.status, name="status"),
    path("marketplace/api/qr", api.qr, name="qr"),
    path("marketplace/api/pairing-code", api.pairing_code, name="pairing-code"),
]
websocket_urlpatterns = [path("ws/marketplace/", OnboardingConsumer.as_asgi())]
