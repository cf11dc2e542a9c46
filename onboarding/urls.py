"""Addresses of the onboarding page; YClients and live pages call them, so they never change."""

from django.urls import include, path
from django.urls.resolvers import URLPattern, URLResolver

from onboarding import legal
from onboarding.api import views as api
from onboarding.arrival import access_views
from onboarding.arrival import views as arrival
from onboarding.linking import views as linking
from onboarding.live.consumers import OnboardingConsumer

urlpatterns: list[URLPattern | URLResolver] = [
    path("auth/yclients/redirect", arrival.arrive, name="arrive"),
    path("auth/yclients/access", access_views.use_link, name="access"),
    path("auth/yclients/access/link", access_views.send_link, name="access-link"),
    path("auth/yclients/payment", access_views.pay, name="pay"),
    path("marketplace/onboarding", linking.onboarding, name="onboarding"),
    path("", include("onboarding.cabinet.urls")),
    path("privacy", legal.privacy, name="privacy"),
    path("terms", legal.terms, name="terms"),
    path("marketplace/activate", api.ActivateView.as_view(), name="activate"),
    path("marketplace/api/status/<str:session_id>", api.StatusView.as_view(), name="status"),
    path("marketplace/api/qr", api.QrView.as_view(), name="qr"),
    path("marketplace/api/pairing-code", api.PairingCodeView.as_view(), name="pairing-code"),
]
websocket_urlpatterns = [path("ws/marketplace/", OnboardingConsumer.as_asgi())]
