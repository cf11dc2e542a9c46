"""Database work of asyncio code: in threads, with connections that are given back."""

import asyncio
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

import structlog
from asgiref.sync import sync_to_async
from django.db import InterfaceError, OperationalError, close_old_connections, connection

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
    return await _run(threads, with_connection(function), *args, **kwargs)


class DedicatedThread:
    """One thread with one database connection, for work that must never wait for anybody else's.

    The connection is opened by the first work, kept, and opened anew after an error of the database.
    """

    def __init__(self, name: str) -> None:
        self._threads = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """As `in_thread`, one after the other on this thread."""
        return await _run(self._threads, with_kept_connection(function), *args, **kwargs)

    def close(self) -> None:
        """Give the connection back and end the thread when its last work has ended; does not wait for it."""
        self._threads.submit(lambda: connection.close())  # the connection of that thread, not of this one
        self._threads.shutdown(wait=False)


def on_live_connection(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call `function`, and once more when the kept connection proves to be lost: the server was restarted.

    `function` must bear to be called twice.
    """
    was_open = connection.connection is not None
    try:
        return function(*args, **kwargs)
    except (OperationalError, InterfaceError):
        if not was_open or connection.in_atomic_block:
            raise
        connection.close()
        return function(*args, **kwargs)


def with_kept_connection(function: Callable[P, T]) -> Callable[P, T]:
    """Let work in a thread of ours keep the thread's connection, and open it anew after an error of it."""

    @functools.wraps(function)
    def work(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        finally:
            if connection.errors_occurred:
                connection.close()

    return work


async def _run(threads: ThreadPoolExecutor, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    # asgiref's own wrapper, so that what runs in the thread finds the loop that waits for it (`hints`).
    # Shielded, because it may swallow a cancellation, and with it a lost lease.
    work = sync_to_async(function, thread_sensitive=False, executor=threads)
    task = asyncio.ensure_future(work(*args, **kwargs))
    try:
        result: T = await asyncio.shield(task)
    except asyncio.CancelledError:
        task.add_done_callback(_log_failure)
        raise
    return result


def _log_failure(task: "asyncio.Task[Any]") -> None:
    """Log what went wrong in work that nobody waits for any more."""
    if not task.cancelled() and (error := task.exception()):
        log.warning("database work failed after its caller was cancelled", cause=repr(error))
