"""Starts and stops everything that the demo consists of, on daphne's event loop."""

import asyncio
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import structlog
from daphne import server as daphne
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group

from marketplace.worker.loop import Worker
from sandbox.demo.bookings import keep_switched_on
from sandbox.demo.guide import Guide
from sandbox.whatsapp import SandboxWhatsApp
from sandbox.yclients import SandboxYClients
from whatsapp.pool.processes import make_pool

log = structlog.get_logger("demo")

PARTNER_TOKEN = "demo-partner-token-of-this-machine-only"  # noqa: S105
APPLICATION_ID = 1001
SALON_PHONE = "79990000001"
SUPPORT_USER = SUPPORT_PASSWORD = "support"  # noqa: S105  a login of this machine only
CONNECTS_PER_MINUTE = 60  # one person plays everybody here, and reloads a lot


class Demo:
    """The product as production runs it, with the addresses of the stand-ins in its settings."""

    def __init__(self, *, port: int, say: Callable[[str], Any]) -> None:
        self.port = port
        self.say = say
        self.url = f"http://127.0.0.1:{port}"
        self.folder = Path(settings.DATA_DIR) / "sandbox"
        self.stop = asyncio.Event()
        self.failure: BaseException | None = None

    def run(self) -> None:
        """Run until SIGINT or SIGTERM; raises what a part of it died of."""
        _make_support_user()
        loop = daphne.twisted_loop
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.stop.set)
        live = loop.create_task(self._live(), name="demo")
        live.add_done_callback(self._ended)
        self.guide = Guide()
        daphne.Server(
            application=self.guide,
            endpoints=[f"tcp:port={self.port}:interface=127.0.0.1"],
            signal_handlers=False,
            http_timeout=120,
        ).run()
        if self.failure:
            raise self.failure

    def _ended(self, task: asyncio.Task[None]) -> None:
        self.failure = task.exception() if not task.cancelled() else None
        daphne.reactor.stop()

    async def _live(self) -> None:
        async with AsyncExitStack() as stack:
            whatsapp = SandboxWhatsApp(state_dir=self.folder / "whatsapp")
            await whatsapp.start()
            stack.push_async_callback(whatsapp.stop)
            yclients = SandboxYClients(
                partner_token=PARTNER_TOKEN,
                application_id=APPLICATION_ID,
                product_url=self.url,
                port=0,
                state_dir=self.folder / "yclients",
            )
            await yclients.start()
            stack.push_async_callback(yclients.stop)
            self._point_at(whatsapp, yclients)
            self.guide.begin(whatsapp=whatsapp, yclients=yclients, salon_phone=SALON_PHONE)
            async with asyncio.TaskGroup() as parts:
                parts.create_task(make_pool().run(self.stop), name="pool")
                parts.create_task(Worker().run(self.stop), name="worker")
                parts.create_task(keep_switched_on(self.stop), name="bookings")
                parts.create_task(self._announce(), name="announce")
            self.say("Stopped.")

    def _point_at(self, whatsapp: SandboxWhatsApp, yclients: SandboxYClients) -> None:
        """What an operator would write into the environment, were the addresses known before the start."""
        settings.BASE_URL = self.url
        settings.CSRF_TRUSTED_ORIGINS = [self.url]
        settings.YCLIENTS_PARTNER_TOKEN = PARTNER_TOKEN
        settings.YCLIENTS_APPLICATION_ID = APPLICATION_ID
        settings.YCLIENTS_API_URL = yclients.api_url
        settings.YCLIENTS_MARKETPLACE_URL = yclients.marketplace_url
        settings.YCLIENTS_MARKETPLACE_PAGE = yclients.url
        settings.YCLIENTS_REQUIRE_SIGNATURE = True
        settings.WHATSAPP_SANDBOX = True
        settings.WHATSAPP_PROXY_URL = whatsapp.proxy_url
        settings.WHATSAPP_CA_FILE = str(whatsapp.ca_file)
        settings.WHATSAPP_NOISE_ROOT = whatsapp.noise_root
        settings.WS_CONNECTS_PER_MINUTE = CONNECTS_PER_MINUTE
        settings.SENDING_PACED = False  # a new number would write every 20 s at most; nobody bans this one

    async def _announce(self) -> None:
        await asyncio.sleep(0)  # after the other parts have started
        self.say("")
        self.say(f"  Open {self.url}/ and follow the story there.")
        self.say(f"  The owner's cabinet: {self.url}/cabinet/ (the story says how to get in)")
        self.say(f"  Support's admin: {self.url}/admin/ (user {SUPPORT_USER}, password {SUPPORT_PASSWORD})")
        self.say("  Ctrl-C stops everything. Salons stay linked until the next start.")
        self.say("")
        await self.stop.wait()


def _make_support_user() -> None:
    """A support user for the admin; bound to this machine, hence the plain password."""
    user, made = get_user_model().objects.get_or_create(
        username=SUPPORT_USER, defaults={"is_staff": True, "first_name": "Support"}
    )
    if made:
        user.set_password(SUPPORT_PASSWORD)
        user.save()
    user.groups.add(*Group.objects.filter(name="Support"))
