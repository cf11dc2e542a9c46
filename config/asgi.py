"""The ASGI application: HTTP by Django, the live channel by Channels."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application

http = get_asgi_application()  # loads the apps; what follows needs them

from config.access_log import hide_query_strings  # noqa: E402
from config.checks import refuse_bad_start  # noqa: E402
from config.ingest import HotDoors  # noqa: E402
from onboarding.urls import websocket_urlpatterns  # noqa: E402

refuse_bad_start()
hide_query_strings()
application = ProtocolTypeRouter({"http": HotDoors(http), "websocket": URLRouter(websocket_urlpatterns)})
