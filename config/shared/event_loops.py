"""What belongs to one event loop and ends with it."""

import asyncio
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar


class HasTask(Protocol):
    """An object at work for as long as its `task`, which the end of the event loop cancels."""

    task: "asyncio.Task[None]"


Worker = TypeVar("Worker", bound=HasTask)


class OnePerLoop(Generic[Worker]):
    """One object for each event loop, made for the first who asks there and forgotten when its task ends."""

    def __init__(self, make: Callable[[], Worker]) -> None:
        self._make = make
        self._by_loop: dict[asyncio.AbstractEventLoop, Worker] = {}

    def get(self) -> Worker:
        """Return that of the running event loop."""
        loop = asyncio.get_running_loop()
        if loop not in self._by_loop:
            worker = self._by_loop[loop] = self._make()
            worker.task.add_done_callback(lambda _task: self._by_loop.pop(loop))
        return self._by_loop[loop]
