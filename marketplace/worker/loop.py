"""The worker: finds rows that are due for a call or a retry, and does their work. The row is the queue.

Any number of workers may run: every job claims its row by a conditional update, and losing a claim means
that another worker has it. A worker that is killed leaves rows whose claims run out.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import structlog

from config.shared import hints
from config.shared.backoff import backoff
from config.shared.database import in_threads
from config.shared.queue import ClaimLost
from marketplace.worker.jobs import Job, all_jobs

log = structlog.get_logger("worker")

POLL = 1.0  # seconds between looks when no hint comes
GRACE = 8.0  # seconds that work already begun has to end after `stop`
LONGEST_OUTAGE_PAUSE = 15.0


class Worker:
    """Does the jobs until told to stop; runs as a process of its own or as a task beside others."""

    def __init__(self, *, jobs: list[Job] | None = None, poll: float = POLL, grace: float = GRACE) -> None:
        self.jobs = all_jobs() if jobs is None else jobs
        self.poll = poll
        self.grace = grace
        self.unfinished = 0  # rows still at work when `run` returned
        threads = sum(job.at_once + 1 for job in self.jobs)
        self._threads = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="worker")

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, then end what was begun, within `grace` seconds.

        Raises what a side task died of: a worker with a dead part must not look alive.
        """
        log.info("worker started", jobs=[job.name for job in self.jobs])
        async with hints.Listener(hints.WORKERS) as listener:
            sides = [asyncio.create_task(self._forward_hints(listener), name="hints")]
            sides += [asyncio.create_task(self._repeat(job), name=f"job {job.name}") for job in self.jobs]
            stopping = asyncio.create_task(stop.wait(), name="stop")
            try:
                ended, _others = await asyncio.wait([*sides, stopping], return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (*sides, stopping):
                    task.cancel()
                await asyncio.gather(*sides, stopping, return_exceptions=True)
                await self._finish()
        for task in ended - {stopping}:
            log.error("a side task ended", task=task.get_name())
            task.result()
        log.info("worker stopped", unfinished=self.unfinished)

    async def _finish(self) -> None:
        running = [task for job in self.jobs for task in job.running.values()]
        if running:
            _done, left = await asyncio.wait(running, timeout=self.grace)
            self.unfinished = len(left)
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _forward_hints(self, listener: hints.Listener) -> None:
        while True:
            await listener.wait(self.poll)
            for job in self.jobs:
                job.hint()

    async def _repeat(self, job: Job) -> None:
        """Look for due rows at every hint and every poll; a database that is away is waited for."""
        failures = 0
        while True:
            job.wake.clear()
            job.looked_at = time.monotonic()
            try:
                await self._start_due(job)
                failures = 0
            except Exception as error:  # noqa: BLE001  whatever it is, the loop goes on
                failures += 1
                pause = backoff(failures, first=1.0, longest=LONGEST_OUTAGE_PAUSE)
                log.warning("looking for work failed", job=job.name, cause=repr(error), again_in=pause)
                await asyncio.sleep(pause)
            await job.wake.wait()

    async def _start_due(self, job: Job) -> None:
        free = job.at_once - len(job.running)
        if free <= 0:
            return  # the end of a running one wakes this
        # More than are free: rows that failed here lately must not hide the others.
        rows = await self._in_thread(job.find, limit=job.at_once + len(job.failures) + len(job.running))
        for row in [row for row in rows if job.may_try(row)][:free]:
            job.running[row] = asyncio.create_task(self._do(job, row), name=f"{job.name} {row}")

    async def _do(self, job: Job, row: int) -> None:
        try:
            await self._in_thread(job.work, row)
            job.failures.pop(row, None)
        except ClaimLost as error:
            log.warning("work took longer than its claim", job=job.name, row=row, cause=str(error))
        except Exception:
            job.failed(row)
            log.exception("work failed", job=job.name, row=row)
        finally:
            del job.running[row]
            job.wake.set()

    async def _in_thread(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        # Threads of our own: a slow YClients must not take those that other parts of the process need.
        return await in_threads(self._threads, function, *args, **kwargs)
