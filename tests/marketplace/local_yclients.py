"""A real local YClients for tests: it runs on a loop and a thread of its own, past Django's."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from sandbox.yclients import SandboxYClients
from sandbox.yclients.journal import Call
from sandbox.yclients.salons import Installation
from tests.environment import APPLICATION_ID, PARTNER_TOKEN

T = TypeVar("T")


class LocalYClients:
    """The stand-in, its calls made on its own loop."""

    def __init__(self, sandbox: SandboxYClients, loop: asyncio.AbstractEventLoop) -> None:
        self._sandbox, self._loop = sandbox, loop
        self.url = sandbox.url
        self.marketplace_url = sandbox.marketplace_url

    def do(self, act: Callable[[SandboxYClients], T]) -> T:
        """Run `act` where the stand-in lives."""

        async def run() -> T:
            return act(self._sandbox)

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(10)

    def wait_for(self, act: Callable[[SandboxYClients], Coroutine[Any, Any, T]]) -> T:
        """Run what `act` begins where the stand-in lives, to its end."""
        return asyncio.run_coroutine_threadsafe(act(self._sandbox), self._loop).result(20)

    def press_connect(self, *salon_ids: int) -> None:
        """The owner presses "Connect"."""
        self.do(lambda there: there.press_connect(*salon_ids))

    def fault(self, kind: str, **how: Any) -> None:
        """The next calls go wrong."""
        self.do(lambda there: there.fault(kind, **how))

    def enforce_limits(self) -> None:
        """Answer 429 beyond 5 requests a second, as the real one does."""
        self.do(lambda there: setattr(there.settings, "enforce_limits", True))

    def heal(self) -> None:
        """No more faults."""
        self.do(lambda there: there.context.faults.lift())

    def installation(self, salon_id: int) -> Installation:
        """What the stand-in holds."""
        return self.do(lambda there: there.installation(salon_id))

    def change(self, salon_id: int, action: str) -> None:
        """`freeze`, `unfreeze` or `uninstall`, without telling us."""
        more = {"source": "user"} if action == "uninstall" else {}
        self.do(lambda there: getattr(there.marketplace, action)(salon_id, **more))

    def calls(self, endpoint: str | None = None) -> list[Call]:
        """Calls received so far, oldest first."""
        return self.do(lambda there: list(there.journal.calls(endpoint=endpoint)))


@contextmanager
def local_yclients(**options: Any) -> Iterator[LocalYClients]:
    """A running stand-in with the tests' partner token and application id; `options` of its settings."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="yclients")
    thread.start()
    sandbox = SandboxYClients(
        partner_token=PARTNER_TOKEN,
        application_id=APPLICATION_ID,
        product_url="http://testserver",
        enforce_limits=False,
        **options,
    )
    try:
        asyncio.run_coroutine_threadsafe(sandbox.start(), loop).result(10)
        yield LocalYClients(sandbox, loop)
        asyncio.run_coroutine_threadsafe(sandbox.stop(), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
