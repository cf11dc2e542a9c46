"""Database work of asyncio code: in threads, with connections that are given back."""

import asyncio
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

import structlog
from asgiref.sync import sync_to_async
from django.db import close_old_connections

log = structlog.get_logger("database")
P = ParamSpec("P")
T = TypeVar("T")
# Not more than the database's own pool has connections.
_threads = ThreadPoolExecutor(max_workers=6, thread_name_prefix="database")


def with_connection(function: Callable[P, T]) -> Callable[P, T]:
    """Let work in a thread of ours begin with a usable connection and give it back."""

    @functools.wraps(function)
    def work(*args: P.args, **kwargs: P.kwargs) -> T:
        close_old_connections()
        try:
            return function(*args, **kwargs)
        finally:
            close_old_connections()

    return work


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run blocking database work in a thread and return its result.

    A cancelled caller does not interrupt the work: it ends in its thread.
    """
    return await in_threads(_threads, function, *args, **kwargs)


async def in_threads(
    threads: ThreadPoolExecutor, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> T:
    """As `in_thread`, on `threads`: for those whose work must not take the threads of others."""
    # asgiref's own wrapper, because hints push from inside through the loop that waits here. Shielded,
    # because it swallows a cancellation that comes during such a push, and with it a lost lease.
    work = sync_to_async(with_connection(function), thread_sensitive=False, executor=threads)
    task = asyncio.ensure_future(work(*args, **kwargs))
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
