"""Whatever happens while messages go out: each ends once, none is lost, none is repeated without a death."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from config.shared.database import in_thread
from tests.whatsapp.outgoing import new, queue
from tests.whatsapp.pools import PATIENCE, Running, linked_session, running_pool
from whatsapp.models import Message, Session
from whatsapp.sessions import policy, services

pytestmark = pytest.mark.django_db(transaction=True)
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
WAITING = ("queued", "sending")
ACTIONS = ("queue", "drop", "kill", "lose", "lose_unsent", "refuse", "reject", "restart", "crash", "stop")


@pytest.fixture(autouse=True)
def _in_a_hurry(settings: object, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.SENDING_PACED = False  # type: ignore[attr-defined]
    monkeypatch.setattr(policy, "send_backoff", lambda _failures: 0.01)
    monkeypatch.setattr(policy, "backoff", lambda _attempts: 0.01)


@dataclass
class Story:
    """One session, the pools that cared for it one after the other, and what they were made to suffer."""

    session: Session
    running: Running
    queued: int = 0
    deaths: int = 0  # moments at which a message in flight may have got into doubt
    rejected: int = 0
    at_the_phones: list[str] = field(default_factory=list)

    async def do(self, action: str) -> bool:
        """Let one thing happen; True when the pool is gone by it."""
        script, name = self.running.engine.script, str(self.session.pk)
        if action == "queue":
            await self.queue(5)
        elif action in ("lose", "lose_unsent"):
            script.lost_answers = [action == "lose"]
            await self.queue(2)
            await until(lambda: not script.lost_answers)
            await self.kill(name)
        elif action == "kill":
            await self.kill(name)
        elif action == "drop" and self.is_up(name):
            self.running.engine.drop(name, back_after=0.1)
        elif action == "refuse":
            script.send_failures.append(("refused: server returned error 503", False))
        elif action == "reject":
            script.send_failures.append(("refused: server returned error 400", True))
            self.rejected += 1
        elif action == "restart":
            await in_thread(services.restart, session=self.session, reason="test")
        elif action == "crash":
            self.deaths += 1
            await self.running.crash()
            # The next pool need not wait for the lease to run out.
            await in_thread(Session.objects.filter(pk=self.session.pk).update, lease_expires_at=LONG_AGO)
        elif action == "stop":
            await self.running.end()
        return action in ("crash", "stop")

    async def queue(self, number: int) -> None:
        batch = [new(f"{self.queued + each:04}") for each in range(number)]
        self.queued += number
        await queue(self.session, *batch)

    async def kill(self, name: str) -> None:
        self.deaths += 1
        if self.running.engine.owns(name):
            self.running.engine.kill_host(name)

    def is_up(self, name: str) -> bool:
        line = self.running.engine._sessions.get(name)
        return line is not None and line.connected


async def until(condition: object) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # type: ignore[operator]
            await asyncio.sleep(0.01)


async def live_through(chapters: list[list[str]]) -> Story:
    """Each chapter has a pool of its own; the last pool works until nothing waits."""
    story: Story | None = None
    for number, actions in enumerate(chapters):
        async with running_pool() as running:
            if story is None:
                story = Story(await linked_session(running), running)
            story.running = running
            for action in actions:
                if await story.do(action):
                    break
            else:
                if number == len(chapters) - 1:
                    running.engine.script.send_failures.clear()
                    await nothing_waits(story.session)
        story.at_the_phones += [sent.text for sent in running.engine.sent]
    assert story is not None
    return story


async def nothing_waits(session: Session) -> None:
    def waiting() -> bool:
        return Message.objects.filter(session=session, status__in=WAITING).exists()

    async with asyncio.timeout(PATIENCE):
        while await in_thread(waiting):
            await asyncio.sleep(0.02)


chapter = st.lists(st.sampled_from(ACTIONS), min_size=1, max_size=8)


@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(chapters=st.lists(chapter, min_size=0, max_size=2))
def test_every_message_ends_once_and_in_order(chapters: list[list[str]]) -> None:
    Session.objects.all().delete()  # of an example that failed
    # The first chapter always has something to lose, and the last one time to finish.
    story = asyncio.run(live_through([["queue", *each] for each in chapters] + [["queue"]]))
    rows = list(Message.objects.filter(session=story.session).order_by("id"))
    assert len(rows) == story.queued
    assert {row.status for row in rows} <= {"sent", "failed", "unknown"}
    assert sum(row.status == "failed" for row in rows) <= story.rejected
    assert sum(row.unknowns for row in rows) <= story.deaths
    times = Counter(story.at_the_phones)
    for row in rows:
        if row.status == "sent":
            assert 1 <= times[row.text] <= 1 + row.unknowns
        else:
            assert times[row.text] <= row.unknowns
    assert story.at_the_phones == sorted(story.at_the_phones)
