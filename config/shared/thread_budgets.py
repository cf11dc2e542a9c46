"""How many threads, and with them database connections, each class of request may take at once.

A class that is used up answers 503; the others go on. Together the classes have fewer threads than the
database's pool has connections (a test counts them), so none can take another's.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

from config.shared.database import in_threads

P = ParamSpec("P")
T = TypeVar("T")
RETRY_AFTER = 5  # seconds; what a refused client is told


class BudgetUsedUp(Exception):
    """No thread of this class became free in time."""


class ThreadBudget:
    """`threads` run blocking work of one class; a caller waits for a free one for `patience` seconds."""

    def __init__(self, name: str, *, threads: int, patience: float) -> None:
        self.name, self.size, self.patience = name, threads, patience
        self._threads = ThreadPoolExecutor(max_workers=threads, thread_name_prefix=name)
        # A semaphore belongs to an event loop; a process has one, tests have many.
        self._free: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `function` in a thread of this class, which gives its database connection back at the end.

        A cancelled caller does not interrupt the work: it ends in its thread, which is free only then.
        Raises BudgetUsedUp.
        """
        loop = asyncio.get_running_loop()
        free = self._free.setdefault(loop, asyncio.Semaphore(self.size))
        try:
            async with asyncio.timeout(self.patience):
                await free.acquire()
        except TimeoutError as error:
            raise BudgetUsedUp(self.name) from error

        def work() -> T:
            try:
                return function(*args, **kwargs)
            finally:
                loop.call_soon_threadsafe(free.release)

        return await in_threads(self._threads, work)


# Views that answer from the database alone, and views that may wait for a call to YClients.
PAGES = ThreadBudget("pages", threads=4, patience=5.0)
OUTGOING = ThreadBudget("outgoing", threads=6, patience=3.0)


def waits_for_yclients(view: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a view whose thread may wait for a call to YClients: it takes none of the pages' threads."""
    view.thread_budget = OUTGOING  # type: ignore[attr-defined]
    return view


def budget_of(view: Callable[..., Any]) -> ThreadBudget:
    """The class of a view."""
    found: ThreadBudget = getattr(view, "thread_budget", PAGES)
    return found
