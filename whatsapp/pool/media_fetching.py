"""Fetches the files that clients have sent: any pool any session's, as it needs no connection of it."""

import asyncio
import functools
from concurrent.futures import ThreadPoolExecutor

import structlog
from django.conf import settings
from django.db import DatabaseError

from config.shared.database import in_thread, in_threads
from config.shared.waiting import wait_at_most
from whatsapp import metrics
from whatsapp.engine import Engine
from whatsapp.engine.media_download import MediaError
from whatsapp.media import incoming
from whatsapp.models import MediaFile

log = structlog.get_logger("media")
AT_ONCE = 3  # each holds a whole file in memory
SECONDS = 90.0  # for one file
POLL = 5.0  # seconds; what comes meanwhile is fetched at once


class MediaFetcher:
    """One for each pool."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._due = asyncio.Event()
        self._running: dict[int, asyncio.Task[bool]] = {}
        # A storage that hangs must not take the threads of the database.
        self._threads = ThreadPoolExecutor(max_workers=AT_ONCE, thread_name_prefix="media")

    def notify(self) -> None:
        """A file may be due."""
        self._due.set()

    async def run(self) -> None:
        """Fetch what is due, for ever; when cancelled, what is claimed is given back."""
        try:
            while True:
                self._due.clear()
                try:
                    await self._start_what_is_due()
                except DatabaseError as error:
                    _log_unavailable(error)
                await wait_at_most(self._due, POLL)
        finally:
            running = list(self._running.values())
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def _start_what_is_due(self) -> None:
        """One that hangs holds its own place, and nobody else up."""
        free = AT_ONCE - len(self._running)
        if free:
            due = await in_thread(incoming.FETCHES.due, limit=AT_ONCE)
            for pk in [pk for pk in due if pk not in self._running][:free]:
                self._running[pk] = task = asyncio.create_task(self._fetch(pk), name=f"media:{pk}")
                task.add_done_callback(functools.partial(self._ended, pk))

    def _ended(self, pk: int, task: "asyncio.Task[bool]") -> None:
        del self._running[pk]
        if not task.cancelled() and task.result():
            self._due.set()  # there is room for the next

    async def _fetch(self, pk: int) -> bool:
        """True when the file was this pool's to fetch, and the database was there all the time."""
        row = None
        try:
            if (row := await in_thread(incoming.claim, pk)) is None:
                return False
            content = await self._engine.download(
                incoming.reference_of(row), max_bytes=settings.MEDIA_MAX_BYTES, seconds=SECONDS
            )
            await in_threads(self._threads, incoming.keep, row, content)
        except asyncio.CancelledError:
            if row is not None:
                await asyncio.shield(in_thread(incoming.FETCHES.release, row))
            raise
        except MediaError as error:
            return await self._failed(row, str(error), permanent=error.permanent)
        except DatabaseError as error:
            _log_unavailable(error)
            return False  # the claim runs out
        except Exception as error:  # noqa: BLE001  each storage has errors of its own
            return await self._failed(row, f"not_stored: {type(error).__name__}", permanent=False)
        metrics.MEDIA_FILES.labels("kept").inc()
        return True

    async def _failed(self, row: MediaFile | None, error: str, *, permanent: bool) -> bool:
        if row is None:
            return False
        try:
            given_up = await in_thread(incoming.fail, row, error=error, permanent=permanent)
        except DatabaseError as away:
            _log_unavailable(away)
            return False
        metrics.MEDIA_FILES.labels("given_up" if given_up else "failed").inc()
        log.warning("file not fetched", file=row.pk, error=error, given_up=given_up)
        return True


def _log_unavailable(error: DatabaseError) -> None:
    log.warning("database unavailable", task="media", error=str(error).partition("\n")[0])
