"""Sends one session's messages in order, one at a time, at the pace that its number can bear.

A part of the session's runner, in whose task it works: the pool says that messages are due, the engine's
answers come through the session's inbox, acknowledgements after they are written down. What is in flight is
known by its attempt; the next message is not claimed before the answer to the last one is written down.
"""

import asyncio
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime

from django.db import DatabaseError
from django.utils import timezone

from config.shared.database import in_threads
from whatsapp import metrics
from whatsapp.engine import UPLOAD_TIMEOUT, EngineError, events
from whatsapp.media import outgoing
from whatsapp.media.files import FileUnavailable
from whatsapp.messages import numbers, outbox
from whatsapp.messages.claims import ClaimBatches, ClaimRequest
from whatsapp.messages.durable_writer import DurableWriter
from whatsapp.messages.limits import Limits
from whatsapp.messages.pacing import TokenBucket
from whatsapp.models import Message
from whatsapp.sessions import policy
from whatsapp.sessions.context import SessionContext
from whatsapp.sessions.leases import LeaseLost

# A storage that hangs must not take the threads of the database.
_file_threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="files to send")
CLAIM_AGAIN = 0.02  # seconds until the next claim after a row was locked by somebody else
ANSWERS = (events.Sent, events.SendFailed, events.NumbersChecked)


@dataclass(frozen=True, slots=True)
class InFlight:
    """The message of which WhatsApp's answer is awaited."""

    pk: int
    attempt: int
    due_at: datetime
    with_file: bool
    since: float = field(default_factory=time.monotonic)

    @property
    def ref(self) -> str:
        """Its name at the engine."""
        return f"{self.pk}.{self.attempt}"

    @property
    def answered_by(self) -> float:
        """When the engine must have answered, by the monotonic clock."""
        file = policy.FILE_WAIT + UPLOAD_TIMEOUT if self.with_file else 0.0
        return self.since + file + policy.ANSWER_WAIT


class Sender:
    """One for each runner; every method is called in the runner's task."""

    def __init__(self, context: SessionContext, writer: DurableWriter, claims: ClaimBatches) -> None:
        self._context = context
        self._claims = claims
        self._writer = writer
        self._in_flight: InFlight | None = None
        self._limits: Limits | None = None
        self._bucket = TokenBucket(tokens=1.0, now=time.monotonic())
        self._sent_today = 0
        self._day: datetime | None = None
        self._wanted = False  # messages may be due
        self._next_at = 0.0  # monotonic, no claim before
        self._held_until = 0.0  # monotonic; only advertising waits, and it is not its time
        self._refusals = 0  # in a row
        self._checking: tuple[str, float] | None = None  # name and start of the question about numbers
        self._check_at = 0.0
        self._check_failures = 0

    # --- called by the runner, the link and the event handlers ---------------------------------

    async def settle_previous(self) -> None:
        """Settle what the last holder of the lease left in doubt."""
        await self._context.database(outbox.settle_previous, self._context.lease)

    def notify(self, *, service: bool) -> bool:
        """Messages are due, `service` ones among them or only advertising; whether it is worth waking for."""
        if self._wanted or (not service and time.monotonic() < self._held_until):
            return False
        self._wanted = True
        return True

    def on_connected(self) -> None:
        """The session is connected: what waits for that may go on.

        Whether anything does, the pool reads for all its sessions within a second (`notify`). To ask here
        would be most of what the database does when hundreds connect at once, nearly always for nothing.
        """
        self._next_at, self._check_at, self._refusals = 0.0, 0.0, 0

    def due_at(self) -> float | None:
        """When there is something to do, by the monotonic clock."""
        if self._in_flight:
            return self._in_flight.answered_by
        if not self._wanted or not self._context.line_is_up:
            return None
        if self._checking:
            return self._checking[1] + policy.ANSWER_WAIT
        return min(self._next_at, self._check_at) if self._checks_ahead() else self._next_at

    def answer_is_overdue(self) -> bool:
        """The engine owes an answer for so long that it must be restarted."""
        at = self.due_at()
        awaited = self._in_flight is not None or self._checking is not None
        return awaited and at is not None and time.monotonic() >= at

    async def send_next(self) -> None:
        """Send the next message, or ask about numbers, when it is time to."""
        at = self.due_at()
        if self._in_flight or self._checking or at is None or (now := time.monotonic()) < at:
            return
        if self._checks_ahead() and now >= self._check_at:
            await self._check_ahead()
        elif now >= self._next_at:
            await self._claim_and_send()

    async def handle_event(self, event: events.SessionEvent) -> None:
        """Act on what WhatsApp has answered."""
        if isinstance(event, events.Sent):
            self._on_sent(event)
        elif isinstance(event, events.SendFailed):
            await self._on_failed(event)
        elif isinstance(event, events.NumbersChecked):
            await self._on_numbers_checked(event)

    async def finish(self, seconds: float) -> None:
        """Before the line is closed on purpose: let WhatsApp answer what is in flight, for so long."""
        try:
            async with asyncio.timeout(seconds):
                while self._in_flight and self._context.line_is_up:
                    event = await self._context.inbox.get()
                    if isinstance(event, ANSWERS):
                        await self.handle_event(event)
                    elif isinstance(event, events.ConnectFailed | events.Stopped):
                        return
        except TimeoutError:
            self._context.log.warning("closing the line before WhatsApp has answered a message")

    async def close(self) -> None:
        """The engine's session was stopped: handle its last answers, and settle what is in flight."""
        while not self._context.inbox.empty():
            event = self._context.inbox.get_nowait()
            # Other events are of the connection that is gone, and must not be taken for the next one's.
            if isinstance(event, ANSWERS) and not self._context.lost:
                await self.handle_event(event)
        await self.line_gone("the line was closed")

    async def line_gone(self, cause: str) -> None:
        """The engine holds the session no more: what is in flight gets no answer."""
        self._checking = None
        flight, self._in_flight = self._in_flight, None
        if not flight or self._context.lost:  # then it is for the next holder of the lease to settle
            return
        await self._heard_written()  # its acknowledgement may be on its way into the row
        status = await self._writer.write(
            outbox.record_failed,
            pk=flight.pk,
            attempt=flight.attempt,
            error=f"timeout: {cause}",
            permanent=False,
        )
        if status in (Message.Status.QUEUED, Message.Status.UNKNOWN):
            self._context.log.warning("outcome of a message unknown", message=flight.pk, cause=cause)

    async def heard_is_written(self, seconds: float) -> bool:
        """Whether all that the engine has said of messages until now is in the database after this time."""
        try:
            async with asyncio.timeout(seconds):
                await self._heard_written()
        except TimeoutError:
            return False
        return True

    async def _heard_written(self) -> None:
        await self._context.engine.drained()
        await self._writer.flushed()

    # --- sending -------------------------------------------------------------------------------

    async def _claim_and_send(self) -> None:
        limits = await self._current_limits()
        now = time.monotonic()
        if limits.cap and self._sent_today >= limits.cap:
            self._hold(now, "daily cap")
            return
        wait = self._bucket.ready_in(now=now, gap=limits.gap, burst=limits.burst)
        if wait > 0:
            self._next_at = now + wait
            return
        unchecked_too = self._check_failures >= policy.CHECK_FAILURES_MOST
        request = ClaimRequest(self._context.lease, unchecked_too)
        step = await self._context.retried(lambda: self._claims.claim(request))
        self._limits = step.limits
        if step.message:
            # After an unanswered question each message asks once more.
            self._check_failures = min(self._check_failures, policy.CHECK_FAILURES_MOST - 1)
            await self._send(step.message, step.address)
        elif step.to_check:
            await self._ask(list(step.to_check))
        elif step.again:
            self._next_at = time.monotonic() + CLAIM_AGAIN
        else:
            self._wanted = False
            self._held_until = now + policy.HOLD_RECHECK if step.held else 0.0

    def _hold(self, now: float, reason: str) -> None:
        self._next_at = now + policy.HOLD_RECHECK
        self._day = None  # counted again by then: support staff may have raised the cap
        self._context.log.info("messages held back", reason=reason)

    async def _current_limits(self) -> Limits:
        """The session's limits; counted anew after a midnight of the salon."""
        now = timezone.now()
        if self._limits is None or self._limits.day_began(now) != self._day:
            usage = await self._context.database(outbox.rate_usage, self._context.lease)
            limits = self._limits = usage.limits
            self._day, self._sent_today = limits.day_began(now), usage.sent_today
            tokens = float(limits.burst - usage.sent_lately)
            self._bucket = TokenBucket(tokens=max(0.0, tokens), now=time.monotonic())
        return self._limits

    async def _send(self, message: Message, address: str) -> None:
        context = self._context
        with_file = message.media_id is not None
        self._in_flight = flight = InFlight(message.pk, message.attempts, message.not_before, with_file)
        if self._limits and self._limits.paced:
            self._bucket.take(jitter=self._limits.jitter)
        self._sent_today += 1
        if context.lease.is_over:
            raise LeaseLost(context.session)
        try:
            if with_file:
                await self._send_file(message, address, flight.ref)
            else:
                await context.engine.send(context.session, flight.ref, address, message.text)
        except EngineError as error:
            words = f"not_connected: {error}"
            await self._on_failed(events.SendFailed(context.session, flight.ref, words, permanent=False))

    async def _send_file(self, message: Message, address: str, ref: str) -> None:
        context = self._context
        read = in_threads(
            _file_threads,
            outgoing.command,
            session=context.session,
            ref=ref,
            phone=address,
            caption=message.text,
            media_id=message.media_id or 0,
        )
        try:
            async with asyncio.timeout(policy.FILE_WAIT):
                command = await read
        except (FileUnavailable, TimeoutError, DatabaseError) as error:
            words = f"file_unavailable: {error or 'the storage does not answer'}"
            permanent = isinstance(error, FileUnavailable) and error.permanent
            await self._on_failed(events.SendFailed(context.session, ref, words, permanent=permanent))
            return
        if context.lease.is_over:
            raise LeaseLost(context.session)
        await context.engine.send_media(command)

    def _on_sent(self, event: events.Sent) -> None:
        """The acknowledgement is written down: the next message may follow."""
        flight = self._in_flight
        if not flight or flight.ref != event.ref:
            return
        self._in_flight, self._refusals = None, 0
        metrics.SEND_SECONDS.observe(time.monotonic() - flight.since)
        metrics.WAITED_SECONDS.observe((timezone.now() - flight.due_at).total_seconds())

    async def _on_failed(self, event: events.SendFailed) -> None:
        flight = self._in_flight
        if not flight or flight.ref != event.ref:
            return  # settled before, when the line was given up
        status = await self._writer.write(
            outbox.record_failed,
            pk=flight.pk,
            attempt=flight.attempt,
            error=event.error,
            permanent=event.permanent,
        )
        self._in_flight = None
        self._context.log.warning("message not sent", message=flight.pk, error=event.error, status=status)
        if status == Message.Status.QUEUED:
            self._refusals += 1
            self._next_at = time.monotonic() + policy.send_backoff(self._refusals)

    # --- numbers -------------------------------------------------------------------------------

    def _checks_ahead(self) -> bool:
        """While messages wait for their turn, numbers without WhatsApp are found out early, so that who
        asked can reach those people otherwise."""
        return self._limits is not None and self._limits.paced and self._next_at > self._check_at

    async def _check_ahead(self) -> None:
        self._check_at = time.monotonic() + policy.CHECK_GAP
        session_id = self._context.lease.session_id
        await self._context.database(outbox.fail_without_whatsapp, session_id=session_id)
        phones = await self._context.database(numbers.unchecked, session_id, limit=policy.CHECK_BATCH)
        if phones:
            await self._ask(phones)

    async def _ask(self, phones: list[str]) -> None:
        now = time.monotonic()
        if self._limits and self._limits.paced:
            self._check_at = now + policy.CHECK_GAP
        self._checking = (uuid.uuid4().hex, now)
        try:
            await self._context.engine.check_numbers(self._context.session, self._checking[0], phones)
        except EngineError as error:
            self._not_checked(str(error))

    async def _on_numbers_checked(self, event: events.NumbersChecked) -> None:
        if event.results:
            await self._writer.write(numbers.record, event.results)
            await self._context.database(
                outbox.fail_without_whatsapp, session_id=self._context.lease.session_id
            )
        if not self._checking or self._checking[0] != event.ref:
            return
        if event.error is not None:
            self._not_checked(event.error)
        else:
            self._checking, self._check_failures = None, 0

    def _not_checked(self, error: str) -> None:
        self._checking = None
        self._check_failures += not error.startswith("not_connected")
        wait = policy.send_backoff(self._check_failures)
        self._next_at = self._check_at = time.monotonic() + wait
        self._context.log.warning("numbers not checked", error=error, attempt=self._check_failures)
