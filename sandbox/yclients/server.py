"""The running sandbox: one HTTP server with API, pages and control, plus the senders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from aiohttp import web

from sandbox.yclients import (
    api,
    billing,
    control,
    control_scene,
    control_sending,
    delivery,
    pages,
    record_pages,
)
from sandbox.yclients.context import CONTEXT, Context
from sandbox.yclients.control import control_errors
from sandbox.yclients.faults import Fault, FaultKind
from sandbox.yclients.guards import api_guard
from sandbox.yclients.journal import Journal
from sandbox.yclients.marketplace import Marketplace
from sandbox.yclients.notifications import Destination, Notification, Shape
from sandbox.yclients.pages import page_errors
from sandbox.yclients.salons import Installation, Salon
from sandbox.yclients.sender import Delivery
from sandbox.yclients.settings import DEFAULT_ACCEPT, SandboxSettings
from sandbox.yclients.signing import Signature
from sandbox.yclients.webhooks import EntityEvent, Order, arrange

# Listening there is possible, calling there is not.
EVERY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104


class SandboxYClients:
    """A local YCLIENTS for one application.

    Start it, give the service `api_url` as YCLIENTS_API_URL and `marketplace_url` as
    YCLIENTS_MARKETPLACE_URL, open `url` in a browser. `product_url` may be set later: the service usually
    starts second. Port 0 takes a free one. All calls belong to the event loop that called `start`.
    """

    def __init__(
        self,
        *,
        partner_token: str,
        application_id: int,
        product_url: str = "",
        product_public_url: str | None = None,
        public_url: str | None = None,
        accept: str = DEFAULT_ACCEPT,
        host: str = "127.0.0.1",
        port: int = 0,
        state_dir: Path | None = None,
        enforce_limits: bool = True,
        webhook_tries: int = 3,
        webhook_patience: float = 10.0,
        webhook_pause: float = 1.0,
    ) -> None:
        self.settings = SandboxSettings(
            partner_token=partner_token,
            application_id=application_id,
            product_url=product_url.rstrip("/"),
            product_public_url=product_public_url.rstrip("/") if product_public_url else None,
            public_url=public_url.rstrip("/") if public_url else None,
            accept=accept,
            state_dir=state_dir,
            enforce_limits=enforce_limits,
            webhook_tries=webhook_tries,
            webhook_patience=webhook_patience,
            webhook_pause=webhook_pause,
        )
        self.context = Context(self.settings)
        self._host, self._port = host, port
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen; raises OSError when the port is taken."""
        # No access log: a delivery callback's path contains the partner token.
        self._runner = web.AppRunner(self._application(), access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        try:
            site = web.TCPSite(self._runner, self._host, self._port)
            await site.start()
        except OSError:
            await self._runner.cleanup()
            raise
        self._port = int(self._runner.addresses[0][1])
        reachable = "127.0.0.1" if self._host in EVERY_ADDRESS else self._host
        self.context.url = f"http://{reachable}:{self._port}"
        self.context.notifier.callback_base = self.context.url
        await self.context.sender.open()

    async def stop(self) -> None:
        """Stop listening and give up what is being sent."""
        await self.context.sender.close()
        if self._runner is not None:
            await self._runner.cleanup()

    async def __aenter__(self) -> SandboxYClients:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def url(self) -> str:
        """The sandbox's own address, and its marketplace page."""
        return self.context.url

    @property
    def api_url(self) -> str:
        """For YCLIENTS_API_URL."""
        return self.context.url

    @property
    def marketplace_url(self) -> str:
        """For YCLIENTS_MARKETPLACE_URL."""
        return f"{self.context.url}/marketplace"

    @property
    def marketplace(self) -> Marketplace:
        """Salons and installations, to read and to change."""
        return self.context.marketplace

    @property
    def journal(self) -> Journal:
        """Calls that the API received."""
        return self.context.journal

    @property
    def notifications(self) -> list[Notification]:
        """Messages given to the operator endpoint, oldest first, with the statuses that came back."""
        return list(self.context.notifier.notifications.values())

    @property
    def deliveries(self) -> list[Delivery]:
        """Everything sent to the service, oldest first, with its answers."""
        return list(self.context.sender.deliveries)

    def add_salon(self, salon: Salon) -> Salon:
        """One more salon."""
        return self.marketplace.add(salon)

    def installation(self, salon_id: int) -> Installation:
        """State, log, keys and payments; MarketplaceError 404 when never installed."""
        return self.marketplace.installation(salon_id)

    def press_connect(self, *salon_ids: int, signature: Signature = "valid") -> str:
        """Press "Connect"; returns the signed address that the browser would be sent to."""
        return self.context.press_connect(list(salon_ids), signature=signature)

    def fault(
        self,
        kind: FaultKind | str,
        *,
        endpoint: str = "*",
        times: int = 1,
        until_lifted: bool = False,
        seconds: float = 1.0,
    ) -> Fault:
        """Plan a fault for the next requests (see sandbox.yclients.faults)."""
        return self.context.faults.add(
            kind=kind, endpoint=endpoint, times=times, until_lifted=until_lifted, seconds=seconds
        )

    async def send_lifecycle(
        self,
        salon_id: int,
        event: str,
        *,
        repeat: int = 1,
        partner_token: str | None = None,
        application_id: int | None = None,
    ) -> list[Delivery]:
        """Send a lifecycle webhook and wait; the installation's state is not touched."""
        outgoing = self.context.webhooks.lifecycle(
            salon_id=salon_id, event=event, partner_token=partner_token, application_id=application_id
        )
        return await self.context.sender.send(arrange([outgoing], repeat=repeat))

    async def send_entities(
        self,
        salon_id: int,
        events: Sequence[EntityEvent],
        *,
        repeat: int = 1,
        order: Order = "as_given",
        parallel: bool = False,
    ) -> list[Delivery]:
        """Send entity webhooks to the salon's registered addresses and wait."""
        outgoing = self.context.webhooks.entities(salon_id=salon_id, events=events)
        items = arrange(outgoing, repeat=repeat, order=order)
        return await self.context.sender.send(items, parallel=parallel)

    async def send_notification(
        self, salon_id: int, phone: str, text: str, *, id: str | None = None, shape: Shape | None = None
    ) -> Notification:
        """Give one message to the operator endpoint and wait for its answer."""
        target = Destination(phone, id) if id else Destination(phone)
        rows, _ = await self.context.notifier.send(
            salon_id=salon_id, destinations=[target], text=text, shape=shape
        )
        return rows[0]

    def _application(self) -> web.Application:
        application = web.Application(middlewares=[page_errors, api_guard, control_errors])
        application[CONTEXT] = self.context
        for module in (api, billing, delivery, control, control_scene, control_sending, pages, record_pages):
            application.add_routes(module.routes())
        return application
