"""The worker: rows that are due for a network call or a retry. The row is the queue.

Any number of workers may run: every job claims its row by a conditional update, and losing a claim means
that another worker has it. A worker that is killed leaves rows whose claims run out.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import structlog

from config.shared import hints
from config.shared.database import in_threads
from marketplace.bookings import reminders
from marketplace.inbound import forwarding, processing, welcome
from marketplace.notifications import callback_queue, callbacks
from marketplace.salons import activation
from marketplace.sync import channels, connections, listing, reconciliation, uninstalls
from marketplace.webhooks import processing as effects
from marketplace.worker import retention

log = structlog.get_logger("worker")

POLL = 1.0  # seconds between looks when no hint comes
# Seconds between two looks that hints lead to. A hint is for all jobs, and while messages are sent there are
# dozens a second; a row that has ended makes room for the next one at once.
REST = 0.1
REST_OF_NEWS, SLOW_INTERVAL = 0.5, 5.0  # what nobody waits for at a page; what is due by the hour
GRACE = 8.0  # seconds that work already begun has to end after `stop`
LONGEST_PAUSE = 300.0  # seconds before a row whose work failed unexpectedly is tried again
LONGEST_OUTAGE_PAUSE = 15.0


@dataclass(slots=True)
class Job:
    """Rows of one kind: how due ones are found (ids, at most `limit`), what is done with each."""

    name: str
    find: Callable[..., list[Any]]
    work: Callable[[Any], Any]
    at_once: int
    rest: float = REST
    running: dict[int, "asyncio.Task[None]"] = field(default_factory=dict)
    failures: dict[int, tuple[int, float]] = field(default_factory=dict)  # row → times, not before
    nudge: asyncio.Event = field(default_factory=asyncio.Event)
    looked_at: float = 0.0
    later: asyncio.TimerHandle | None = None

    def hinted(self) -> None:
        """Look soon: at once, or when `rest` seconds have passed since the last look."""
        wait = self.looked_at + self.rest - time.monotonic()
        if wait <= 0:
            self.nudge.set()
        elif self.later is None:
            self.later = asyncio.get_running_loop().call_later(wait, self._look)

    def _look(self) -> None:
        self.later = None
        self.nudge.set()

    def may_try(self, row: int) -> bool:
        """The row is not at work here, and did not fail here a moment ago."""
        return row not in self.running and self.failures.get(row, (0, 0.0))[1] <= time.monotonic()

    def failed(self, row: int) -> None:
        """Leave the row alone for a while, longer with each failure."""
        times = self.failures.get(row, (0, 0.0))[0] + 1
        self.failures[row] = (times, time.monotonic() + min(LONGEST_PAUSE, 2.0 ** min(times, 10)))


def all_jobs() -> list[Job]:
    """Return the worker's jobs, fresh."""
    return [
        Job("activations", activation.due, activation.activate_due, at_once=4),
        Job("connections", connections.due, connections.note, at_once=2, rest=REST_OF_NEWS),
        Job("webhooks", effects.LIFECYCLE.due, effects.apply_due, at_once=2),
        Job("bookings", effects.BOOKINGS.due, effects.apply_due, at_once=2),
        Job("reminders", reminders.REMINDERS.due, reminders.send_due, at_once=1, rest=SLOW_INTERVAL),
        Job("channels", channels.due, channels.report, at_once=1, rest=REST_OF_NEWS),
        Job("uninstalls", uninstalls.REQUESTS.due, uninstalls.check, at_once=1),
        Job("reconciliation", reconciliation.due, reconciliation.check, at_once=1, rest=SLOW_INTERVAL),
        Job("listing", listing.due, listing.read_next, at_once=1, rest=SLOW_INTERVAL),
        Job("callbacks", callback_queue.CALLBACKS.due, callbacks.deliver, at_once=2),
        Job("inbound", processing.INBOUND.due, processing.process, at_once=2),
        Job("forwarding", forwarding.due, forwarding.deliver, at_once=2),
        Job("retention", retention.due, retention.prune_due, at_once=1, rest=SLOW_INTERVAL),
        Job("welcome", welcome.due, welcome.greet, at_once=1, rest=REST_OF_NEWS),
    ]


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
            sides = [asyncio.create_task(self._pass_hints_on(listener), name="hints")]
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

    async def _pass_hints_on(self, listener: hints.Listener) -> None:
        while True:
            await listener.wait(self.poll)
            for job in self.jobs:
                job.hinted()

    async def _repeat(self, job: Job) -> None:
        """Look for due rows at every hint and every poll; a database that is away is waited for."""
        pause = 0.0
        while True:
            job.nudge.clear()
            job.looked_at = time.monotonic()
            try:
                await self._start_due(job)
                pause = 0.0
            except Exception as error:  # noqa: BLE001  whatever it is, the loop goes on
                pause = min(LONGEST_OUTAGE_PAUSE, 2 * pause or 1.0)
                log.warning("looking for work failed", job=job.name, cause=repr(error), again_in=pause)
                await asyncio.sleep(pause)
            await job.nudge.wait()

    async def _start_due(self, job: Job) -> None:
        free = job.at_once - len(job.running)
        if free <= 0:
            return  # the end of a running one nudges
        # More than are free: rows that failed here lately must not hide the others.
        rows = await self._in_thread(job.find, limit=job.at_once + len(job.failures) + len(job.running))
        for row in [row for row in rows if job.may_try(row)][:free]:
            job.running[row] = asyncio.create_task(self._do(job, row), name=f"{job.name} {row}")

    async def _do(self, job: Job, row: int) -> None:
        try:
            await self._in_thread(job.work, row)
            job.failures.pop(row, None)
        except Exception:
            job.failed(row)
            log.exception("work failed", job=job.name, row=row)
        finally:
            del job.running[row]
            job.nudge.set()

    async def _in_thread(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        # Threads of our own: a slow YClients must not take those that other parts of the process need.
        return await in_threads(self._threads, function, *args, **kwargs)
