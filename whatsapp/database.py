"""Database work of asyncio code: in threads, with connections that are given back."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

import structlog
from asgiref.sync import sync_to_async
from django.db import close_old_connections

log = structlog.get_logger("pool")

P = ParamSpec("P")
T = TypeVar("T")
# Not more than the database's own pool has connections.
_threads = ThreadPoolExecutor(max_workers=6, thread_name_prefix="database")


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run blocking database work in a thread and return its result.

    A cancelled caller does not interrupt the work: it ends in its thread.
    """

    def work() -> Any:
        close_old_connections()
        try:
            return function(*args, **kwargs)
        finally:
            close_old_connections()

    # asgiref's own wrapper, because hints push from inside through the loop that waits here. Shielded,
    # because it swallows a cancellation that comes during such a push, and with it a lost lease.
    task = asyncio.ensure_future(sync_to_async(work, thread_sensitive=False, executor=_threads)())
    try:
        result: T = await asyncio.shield(task)
    except asyncio.CancelledError:
        task.add_done_callback(_look_at)
        raise
    return result


def _look_at(task: "asyncio.Task[Any]") -> None:
    """Log what went wrong in work that nobody waits for any more."""
    if not task.cancelled() and (error := task.exception()):
        log.warning("database work failed after its caller was cancelled", cause=repr(error))
