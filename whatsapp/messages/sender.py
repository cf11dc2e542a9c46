"""Sends one session's messages in order, one at a time, at the pace that its number can bear.

A part of the session's runner, in whose task it works: the pool tells it that messages are due, the engine's
answers come through the runner's inbox. What is in flight is known by its attempt; the next message is not
claimed before the answer to the last one is written down.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from django.utils import timezone

from whatsapp import metrics
from whatsapp.engine import EngineError, events
from whatsapp.messages import numbers, outbox
from whatsapp.messages.durable_writer import write_receipt, write_sent, writing
from whatsapp.messages.early_receipts import EarlyReceipts
from whatsapp.messages.limits import Limits
from whatsapp.messages.pacing import TokenBucket
from whatsapp.models import Message, Session
from whatsapp.sessions import policy
from whatsapp.sessions.leases import LeaseLost

if TYPE_CHECKING:
    from whatsapp.pool.runner import SessionRunner

FACTS = (events.Sent, events.SendFailed, events.Receipt, events.Incoming, events.NumbersChecked)


@dataclass(frozen=True, slots=True)
class InFlight:
    """The message of which WhatsApp's answer is awaited."""

    pk: int
    attempt: int
    due_at: datetime
    since: float = field(default_factory=time.monotonic)

    @property
    def ref(self) -> str:
        """Its name at the engine."""
        return f"{self.pk}.{self.attempt}"


class Sender:
    """One for each runner; every method is called in the runner's task."""

    def __init__(self, runner: SessionRunner) -> None:
        self._runner = runner
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
        self._early = EarlyReceipts()

    # --- what the runner does with it ----------------------------------------------------------

    async def take_over(self) -> None:
        """Settle what the last holder of the lease left in doubt."""
        await self._runner.database(outbox.take_over, self._runner.lease)

    def tell(self, *, service: bool) -> bool:
        """Messages are due, `service` ones among them or only advertising; whether it is worth waking for."""
        if self._wanted or (not service and time.monotonic() < self._held_until):
            return False
        self._wanted = True
        return True

    def line_up(self) -> None:
        """The session is connected: what waited for that may go on."""
        self._wanted, self._next_at, self._check_at, self._refusals = True, 0.0, 0.0, 0

    def due_at(self) -> float | None:
        """When `act` has something to do, by the monotonic clock."""
        if self._in_flight:
            return self._in_flight.since + policy.ANSWER_WAIT
        if not self._wanted or not self._line_is_up():
            return None
        if self._checking:
            return self._checking[1] + policy.ANSWER_WAIT
        return min(self._next_at, self._check_at) if self._looks_ahead() else self._next_at

    async def act(self) -> None:
        """Send the next message, or ask about numbers, when it is time to."""
        at = self.due_at()
        if at is None or (now := time.monotonic()) < at:
            return
        if self._in_flight or self._checking:
            await self._engine_is_silent()
            return
        if self._looks_ahead() and now >= self._check_at:
            await self._look_ahead()
        elif now >= self._next_at:
            await self._send_next()

    async def hear(self, event: events.SessionEvent) -> None:
        """Write down what WhatsApp has said of messages."""
        if isinstance(event, events.Sent):
            await self._sent(event)
        elif isinstance(event, events.SendFailed):
            await self._failed(event)
        elif isinstance(event, events.NumbersChecked):
            await self._numbers_checked(event)
        elif isinstance(event, events.Receipt):
            await self._receipt(event)
        elif fact := writing(event):
            await self._runner.facts.keep(fact)

    async def finish(self, seconds: float) -> None:
        """Before the line is closed on purpose: let WhatsApp answer what is in flight, for so long."""
        try:
            async with asyncio.timeout(seconds):
                while self._in_flight and self._line_is_up():
                    event = await self._runner.inbox.get()
                    if isinstance(event, FACTS):
                        await self.hear(event)
                    elif isinstance(event, events.ConnectFailed | events.Stopped):
                        return
        except TimeoutError:
            self._runner.log.warning("closing the line before WhatsApp has answered a message")

    async def close(self) -> None:
        """The engine's session was stopped: write down what it still said, and settle what is in flight."""
        while not self._runner.inbox.empty():
            event = self._runner.inbox.get_nowait()
            if not isinstance(event, FACTS):
                continue  # of the connection that is gone; must not be taken for the next one's
            if not self._runner.lost:
                await self.hear(event)
            elif fact := writing(event):
                self._runner.facts.note(fact)
        await self.line_gone("the line was closed")

    async def line_gone(self, cause: str) -> None:
        """The engine holds the session no more: what is in flight gets no answer."""
        self._checking = None
        flight, self._in_flight = self._in_flight, None
        if flight and not self._runner.lost:  # else it is for the next holder of the lease to settle
            self._runner.log.warning("outcome of a message unknown", message=flight.pk, cause=cause)
            await self._runner.facts.keep(
                outbox.record_failed,
                pk=flight.pk,
                attempt=flight.attempt,
                error=f"timeout: {cause}",
                permanent=False,
            )

    # --- sending -------------------------------------------------------------------------------

    def _line_is_up(self) -> bool:
        runner = self._runner
        return runner.connected_since is not None and runner.row.status == Session.Status.CONNECTED

    async def _send_next(self) -> None:
        limits = await self._standing()
        now = time.monotonic()
        if limits.cap and self._sent_today >= limits.cap:
            self._hold(now, "daily cap")
            return
        wait = self._bucket.ready_in(now=now, gap=limits.gap, burst=limits.burst)
        if wait > 0:
            self._next_at = now + wait
            return
        unchecked_too = self._check_failures >= policy.CHECK_FAILURES_MOST
        step = await self._runner.database(outbox.claim, self._runner.lease, unchecked_too=unchecked_too)
        self._limits = step.limits
        if step.message:
            # After an unanswered question each message asks once more.
            self._check_failures = min(self._check_failures, policy.CHECK_FAILURES_MOST - 1)
            await self._send(step.message, step.address)
        elif step.to_check:
            await self._ask(list(step.to_check))
        else:
            self._wanted = False
            self._held_until = now + policy.HOLD_RECHECK if step.held else 0.0

    def _hold(self, now: float, reason: str) -> None:
        self._next_at = now + policy.HOLD_RECHECK
        self._day = None  # counted again by then: support staff may have raised the cap
        self._runner.log.info("messages held back", reason=reason)

    async def _standing(self) -> Limits:
        """The session's limits; counted anew after a midnight of the salon."""
        now = timezone.now()
        if self._limits is None or self._limits.day_began(now) != self._day:
            standing = await self._runner.database(outbox.standing, self._runner.lease)
            limits = self._limits = standing.limits
            self._day, self._sent_today = limits.day_began(now), standing.sent_today
            tokens = float(limits.burst - standing.sent_lately)
            self._bucket = TokenBucket(tokens=max(0.0, tokens), now=time.monotonic())
        return self._limits

    async def _send(self, message: Message, address: str) -> None:
        runner = self._runner
        self._in_flight = flight = InFlight(message.pk, message.attempts, message.not_before)
        if self._limits and self._limits.paced:
            self._bucket.take(jitter=self._limits.jitter)
        self._sent_today += 1
        if runner.lease.is_over:
            raise LeaseLost(runner.session)
        try:
            await runner.engine.send(runner.session, flight.ref, address, message.text)
        except EngineError as error:
            words = f"not_connected: {error}"
            await self._failed(events.SendFailed(runner.session, flight.ref, words, permanent=False))

    async def _sent(self, event: events.Sent) -> None:
        await self._runner.facts.keep(partial(write_sent, event))
        flight = self._in_flight
        if flight and flight.ref == event.ref:
            self._in_flight, self._refusals = None, 0
            metrics.SEND_SECONDS.observe(time.monotonic() - flight.since)
            metrics.WAITED_SECONDS.observe((timezone.now() - flight.due_at).total_seconds())
        for receipt in self._early.take(event.wa_message_id):
            await self._runner.facts.keep(partial(write_receipt, receipt))

    async def _failed(self, event: events.SendFailed) -> None:
        flight = self._in_flight
        if not flight or flight.ref != event.ref:
            return  # settled before, when the line was given up
        status = await self._runner.facts.keep(
            outbox.record_failed,
            pk=flight.pk,
            attempt=flight.attempt,
            error=event.error,
            permanent=event.permanent,
        )
        self._in_flight = None
        self._runner.log.warning("message not sent", message=flight.pk, error=event.error, status=status)
        if status == Message.Status.QUEUED:
            self._refusals += 1
            self._next_at = time.monotonic() + policy.send_backoff(self._refusals)

    async def _engine_is_silent(self) -> None:
        await self._runner.off_line()
        await self._runner.try_later("the engine did not answer")

    # --- numbers -------------------------------------------------------------------------------

    def _looks_ahead(self) -> bool:
        """While messages wait for their turn, numbers without WhatsApp are found out early, so that who
        asked can reach those people otherwise."""
        return self._limits is not None and self._limits.paced and self._next_at > self._check_at

    async def _look_ahead(self) -> None:
        self._check_at = time.monotonic() + policy.CHECK_GAP
        session_id = self._runner.lease.session_id
        await self._runner.database(outbox.fail_without_whatsapp, session_id=session_id)
        phones = await self._runner.database(numbers.unchecked, session_id, limit=policy.CHECK_BATCH)
        if phones:
            await self._ask(phones)

    async def _ask(self, phones: list[str]) -> None:
        now = time.monotonic()
        if self._limits and self._limits.paced:
            self._check_at = now + policy.CHECK_GAP
        self._checking = (uuid.uuid4().hex, now)
        try:
            await self._runner.engine.check_numbers(self._runner.session, self._checking[0], phones)
        except EngineError as error:
            self._not_checked(str(error))

    async def _numbers_checked(self, event: events.NumbersChecked) -> None:
        if event.results:
            await self._runner.facts.keep(numbers.record, event.results)
            await self._runner.database(
                outbox.fail_without_whatsapp, session_id=self._runner.lease.session_id
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
        self._runner.log.warning("numbers not checked", error=error, attempt=self._check_failures)

    # --- receipts ------------------------------------------------------------------------------

    async def _receipt(self, event: events.Receipt) -> None:
        known = await self._runner.facts.keep(partial(write_receipt, event))
        for message_id in event.message_ids:
            if message_id not in known:
                self._early.keep(message_id, event)
