"""The supervisor's state of one session."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from pathlib import Path

from whatsapp.engine.commands import Answerable, Send, SendMedia
from whatsapp.engine.events import NumbersChecked, SendFailed
from whatsapp.engine.supervisor.process import HostProcess


class Phase(Enum):
    """Where a session stands between start and release."""

    PAIRING = auto()  # in a host of its own, not linked yet
    SETTLING = auto()  # just linked there; its first uploads are let finish
    MOVING = auto()  # between two hosts
    STARTING = auto()  # in a shard, not connected yet
    LINKED = auto()  # in a shard, connected or reconnecting
    ENDING = auto()  # its terminal event was written; Stopped follows
    STOPPING = auto()  # stop was asked for


@dataclass(eq=False)
class Slot:
    """One session held by the engine, from start until it is released."""

    session: str
    store_path: Path
    phase: Phase
    host: HostProcess | None = None
    # The first event of the session has come from its host, or none will come any more.
    responded: asyncio.Event = field(default_factory=asyncio.Event)
    # The present host has let go of the session (by its word or by its end).
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    # A stop or a terminal event came while the session was settling.
    interrupted: asyncio.Event = field(default_factory=asyncio.Event)
    linked: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)
    # Messages that wait until the session is connected in its shard.
    waiting: deque[Answerable] = field(default_factory=deque)
    # What the present host has been given of these and has not answered, by reference.
    unanswered: dict[str, Answerable] = field(default_factory=dict)
    # Those of them whose file is not uploaded yet: they cannot have gone out.
    uploading: set[str] = field(default_factory=set)
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    timer: asyncio.TimerHandle | None = None
    move: asyncio.Task[None] | None = None
    # The next host repeats what the last one has kept of messages: this side has not received all of it.
    repeats: bool = True
    logout: asyncio.Future[str | None] | None = None
    connected_at: float | None = None  # monotonic
    quick_losses: int = 0  # in a row

    @property
    def leaving(self) -> bool:
        """Whether nothing but Stopped will come."""
        return self.phase in (Phase.ENDING, Phase.STOPPING)

    def set_timer(self, timer: asyncio.TimerHandle | None) -> None:
        """Replace the running timer; None only cancels it."""
        if self.timer is not None:
            self.timer.cancel()
        self.timer = timer

    def mark_connected(self) -> None:
        """The session is connected."""
        if self.connected_at is None:
            self.connected_at = time.monotonic()

    def mark_disconnected(self, *, stable_after: float) -> int:
        """The line broke; return how often in a row it did before it had stood for `stable_after` seconds."""
        since, self.connected_at = self.connected_at, None
        if since is not None:
            early = time.monotonic() - since < stable_after
            self.quick_losses = self.quick_losses + 1 if early else 0
        return self.quick_losses

    def ask(self, command: Answerable) -> None:
        """The host has been given this."""
        if isinstance(command, SendMedia):
            self.uploading.add(command.ref)
            command = replace(command, data=b"")
        self.unanswered[command.ref] = command

    def answer(self, ref: str) -> None:
        """The host has answered what was asked under this reference."""
        self.unanswered.pop(ref, None)
        self.uploading.discard(ref)
        self.answered.set()

    def holds(self, ref: str) -> bool:
        """Whether an answer for this reference is on its way."""
        return ref in self.unanswered or any(command.ref == ref for command in self.waiting)

    def refuse_unanswered(self) -> list[SendFailed | NumbersChecked]:
        """The answers to what the host was asked, now that it is gone and nobody knows what it did."""
        answers = self.refuse_uploading()
        unanswered, self.unanswered = self.unanswered, {}
        self.answered.set()
        return answers + [
            _refusal(command, "timeout: the line was closed before the answer")
            for command in unanswered.values()
        ]

    def refuse_uploading(self) -> list[SendFailed | NumbersChecked]:
        """The answers to what the host was uploading, now that it is gone: none of it has gone out."""
        uploading = [self.unanswered.pop(ref) for ref in sorted(self.uploading) if ref in self.unanswered]
        self.uploading.clear()
        return [
            _refusal(command, "not_connected: the line was closed during the upload") for command in uploading
        ]

    def answer_logout(self, error: str | None) -> None:
        """Give the logout that waits its result: None for success."""
        if self.logout is not None and not self.logout.done():
            self.logout.set_result(error)

    def refuse_waiting(self) -> list[SendFailed | NumbersChecked]:
        """The answers to everything that waits, now that the session is over."""
        waiting, self.waiting = self.waiting, deque()
        return [_refusal(command, "not_connected: the session was stopped") for command in waiting]


def _refusal(command: Answerable, reason: str) -> SendFailed | NumbersChecked:
    if isinstance(command, Send | SendMedia):
        return SendFailed(command.session, command.ref, reason, permanent=False)
    return NumbersChecked(command.session, command.ref, [], reason)
