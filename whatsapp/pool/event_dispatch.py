"""Leads the engine's events to where they belong: the durable writer, or the session's runner."""

import uuid
from collections.abc import Callable, Mapping

import structlog

from whatsapp import metrics
from whatsapp.engine import RECYCLED, Engine, events
from whatsapp.messages.durable_writer import DurableWriter
from whatsapp.pool.runner import SessionRunner

log = structlog.get_logger("pool")


class EventDispatch:
    """The events of one pool's engine. `on_file` is called when a message with a file is written down."""

    def __init__(
        self,
        *,
        engine: Engine,
        runners: Mapping[uuid.UUID, SessionRunner],
        on_file: Callable[[], None],
    ) -> None:
        self._engine = engine
        self._on_file = on_file
        self._runners = runners
        self.writer = DurableWriter(self._written)

    async def run(self) -> None:
        """Dispatch until the engine is closed."""
        async for event in self._engine.events():
            if isinstance(event, events.HostExited):
                self._host_exited(event)
            elif isinstance(event, events.HostStarted):
                log.info("engine host started", host=event.host, pid=event.pid)
            elif isinstance(event, events.Pong):
                continue
            elif isinstance(event, events.MessageEvent):
                await self.writer.add(event)  # before anything else; waits while too many wait
            elif runner := self._runners.get(uuid.UUID(event.session)):
                runner.handle_event(event)

    def _written(self, event: events.MessageEvent) -> None:
        """The session's sender waits for the acknowledgement of its message in the row."""
        if isinstance(event, events.Incoming) and event.media:
            self._on_file()
        if isinstance(event, events.Sent) and (runner := self._runners.get(uuid.UUID(event.session))):
            runner.handle_event(event)

    def _host_exited(self, event: events.HostExited) -> None:
        if event.reason == RECYCLED:
            metrics.HOST_RECYCLES.inc()
        if not event.sessions:
            log.info("engine host ended", host=event.host, reason=event.reason)
            return
        metrics.HOST_RESTARTS.labels(reason=event.reason.split(":")[0][:40]).inc()
        log.warning("engine host gone", host=event.host, reason=event.reason, sessions=len(event.sessions))
        for session in event.sessions:
            if runner := self._runners.get(uuid.UUID(session)):
                runner.host_exited(event.reason)
