"""Database work of asyncio code: in threads, with connections that are given back."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

from asgiref.sync import sync_to_async
from django.db import close_old_connections

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

    # asgiref's own wrapper, because hints push from inside through the loop that waits here.
    result: T = await sync_to_async(work, thread_sensitive=False, executor=_threads)()
    return result
