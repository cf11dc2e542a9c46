"""The ASGI application: machines' posts by `ingest`, other HTTP by Django, the live channel by Channels."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application

http = get_asgi_application()  # loads the apps; what follows needs them

from config import daphne_server, urls  # noqa: E402, F401  the first request would wait for the addresses
from config.ingest import Ingest  # noqa: E402
from config.shared import collector  # noqa: E402
from onboarding.urls import websocket_urlpatterns  # noqa: E402

daphne_server.install()
application = ProtocolTypeRouter({"http": Ingest(http), "websocket": URLRouter(websocket_urlpatterns)})
collector.ignore_loaded()
