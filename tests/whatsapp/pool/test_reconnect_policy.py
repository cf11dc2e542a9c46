"""Whatever happens to a line: no loop is faster than the policy, and no key is destroyed without cause."""

import asyncio
import time
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from config.shared.database import in_thread
from tests.whatsapp.pools import Running, history, linked_session, running_pool, until
from whatsapp.engine.events import Connected
from whatsapp.models import Session, StoredCredentials
from whatsapp.sessions import policy, services

pytestmark = pytest.mark.django_db(transaction=True)
Status, Wanted = Session.Status, Session.Wanted
STABLE = 0.6  # seconds, in place of a minute
EVENTS = (
    "drop", "lose", "server_busy", "kill_host", "replace", "ban", "outdated", "log_out", "settle",
    "page_asks", "support_restarts", "support_stops", "pool_restarts",
)  # fmt: skip
# What destroys the keys, and what makes a session that stands still start again.
DESTROYS = {"log_out"}
STARTS = {"page_asks", "support_restarts"}


def pause_of(attempts: int) -> float:
    """The policy's pauses without their chance, a hundred times shorter."""
    return float(min(1.0, 0.02 * 2 ** min(attempts, 12)))


@dataclass
class Logins:
    """When the session logged in at WhatsApp, by the pool's starts and by the library's own returns."""

    starts: list[float] = field(default_factory=list)
    logins: list[float] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)  # until when the policy wanted each pause to last


@pytest.fixture
def logins(monkeypatch: pytest.MonkeyPatch) -> Logins:
    """Notes every pause that the policy calls for."""
    seen = Logins()

    def backoff(attempts: int) -> float:
        wait = pause_of(attempts)
        seen.waits.append(time.monotonic() + wait)
        return wait

    monkeypatch.setattr(policy, "STABLE_AFTER", STABLE)
    monkeypatch.setattr(policy, "backoff", backoff)
    return seen


def watch(running: Running, name: str, seen: Logins) -> None:
    """Note starts and logins of this session, and that no start comes before its pause is over."""
    start, put = running.engine.start, running.engine._event_queue.put

    async def noted_start(session: str, store_path: Path, *, pairing: bool) -> None:
        if session == name:
            seen.starts.append(time.monotonic())
        await start(session, store_path, pairing=pairing)

    def noted_put(event: Any) -> None:
        if isinstance(event, Connected) and event.session == name:
            seen.logins.append(time.monotonic())
        put(event)

    running.engine.start = noted_start  # type: ignore[method-assign]
    running.engine._event_queue.put = noted_put  # type: ignore[method-assign]


@dataclass
class Story:
    """One session and what happens to it."""

    session: Session
    running: Running
    seen: Logins
    happened: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return str(self.session.pk)

    @property
    def is_up(self) -> bool:
        line = self.running.engine._sessions.get(self.name)
        return line is not None and line.connected

    async def row(self) -> Session:
        return await in_thread(Session.objects.get, pk=self.session.pk)

    async def do(self, event: str) -> bool:
        """Let one thing happen where it can; whether it could."""
        engine = self.running.engine
        if event in ("drop", "lose", "replace", "ban", "outdated", "log_out") and not self.is_up:
            return False
        if event == "kill_host" and not engine.owns(self.name):
            return False
        if event == "drop":
            engine.drop(self.name, back_after=0.0)
        elif event == "lose":
            engine.drop(self.name, back_after=None)
        elif event == "server_busy":
            engine.script.connect_failure = ("WhatsApp refused the login: service_unavailable", False)
            await asyncio.sleep(0.3)
            engine.script.connect_failure = None
        elif event == "kill_host":
            engine.kill_host(self.name)
        elif event == "replace":
            engine.replace(self.name)
        elif event == "ban":
            engine.ban(self.name, expires_in=600)
        elif event == "outdated":
            engine.outdated(self.name)
        elif event == "log_out":
            engine.log_out(self.name)
        elif event == "settle":
            await asyncio.sleep(STABLE)
        elif event == "page_asks":
            try:
                await in_thread(services.request_qr, session=self.session)
            except (services.AlreadyLinked, services.TooSoon):
                return False
        elif event == "support_restarts":
            row = await self.row()
            if row.status == Status.BANNED:
                return False
            await in_thread(services.restart, session=self.session, reason="test")
        elif event == "support_stops":
            await in_thread(services.stop, session=self.session, reason="test")
        return True


async def settled(story: Story) -> Session:
    """The row when every event so far has been handled, and the session is up, at rest or waiting."""

    def quiet(row: Session) -> bool:
        held = story.running.pool.runners.get(row.pk)
        asked, done = row.restart_requested_at, row.restart_done_at
        if (held is not None and not held.context.inbox.empty()) or (
            asked and (done is None or done < asked)
        ):
            return False
        if row.wanted == Wanted.STOPPED or row.status in (Status.CONFLICT, Status.BANNED, Status.FAILED):
            return held is None
        return (row.status == Status.CONNECTED) == story.is_up

    return await until(story.session, quiet)


async def check(story: Story, event: str, before: Session, starts: int) -> Session:
    row = await settled(story)
    kept = await in_thread(StoredCredentials.objects.filter(session=row).exists)
    if event in DESTROYS:
        assert (kept, row.jid, row.status) == (False, "", Status.LOGGED_OUT)
    else:
        assert kept
        assert row.is_linked
    stood_still = before.status in (Status.CONFLICT, Status.FAILED, Status.BANNED) or (
        before.wanted == Wanted.STOPPED
    )
    if stood_still and event not in STARTS:
        assert len(story.seen.starts) == starts, f"{before.status} started by {event}"
        assert row.status == before.status
    return row


def assert_no_haste(seen: Logins, asked: int) -> None:
    """Of the logins within any stable time only so many may come: the library's quick returns, and what
    people asked for and what the pauses in between allow, each with returns of its own."""
    pauses, at = 0, 0.0
    while at < STABLE:
        at += pause_of(pauses)
        pauses += 1
    most = (policy.QUICK_RETURNS_MOST + 1) * (1 + pauses + asked)
    assert len(seen.starts) <= len(seen.waits) + asked + 1
    for first in seen.logins:
        within = [login for login in seen.logins if first <= login < first + STABLE]
        assert len(within) <= most, f"{len(within)} logins in {STABLE} s, at most {most}"


@given(events=st.lists(st.sampled_from(EVENTS[:-1]), min_size=3, max_size=14))
@settings(
    max_examples=8,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),  # each example takes its time: a failing one is not made smaller
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
async def test_any_sequence_of_events(logins: Logins, events: list[str]) -> None:
    logins.__init__()  # type: ignore[misc]  # hypothesis runs all examples in one fixture
    async with running_pool(pace=0.01) as running:
        session = await linked_session(running)
        story = Story(session, running, logins)
        watch(running, story.name, logins)
        row, asked = await settled(story), 0
        for event in events:
            starts = len(logins.starts)
            if not await story.do(event):
                continue
            asked += event in STARTS
            row = await check(story, event, row, starts)
            if event in DESTROYS:
                break
        assert_no_haste(logins, asked)


async def test_a_line_that_breaks_at_once_each_time_slows_down(logins: Logins) -> None:
    async with running_pool(pace=0.01) as running:
        row = await linked_session(running)
        watch(running, str(row.pk), logins)
        ends = time.monotonic() + 3.0
        while time.monotonic() < ends:
            line = running.engine._sessions.get(str(row.pk))
            if line and line.connected:
                running.engine.drop(str(row.pk), back_after=0.0)
            await asyncio.sleep(0.002)
        # Three seconds have room for at most eight pauses; a quick return or two may slip in with each, while
        # the pool is busy writing down the last one.
        assert len(logins.starts) <= 8
        assert len(logins.logins) <= 8 * (policy.QUICK_RETURNS_MOST + 1)
        for due, started in zip(logins.waits, logins.starts, strict=False):
            assert started >= due - 0.01
        row = await until(row, lambda now: now.trouble == "unstable" or now.status == Status.CONNECTED)
        assert row.attempts > policy.QUICK_RETURNS_MOST
        # Left alone, it comes back, and after a stable time everything is forgotten.
        row = await until(row, lambda now: now.status == Status.CONNECTED and now.attempts == 0)
        assert (row.trouble, row.next_attempt_at) == ("", None)


async def test_a_fresh_link_is_proven_after_its_stable_time(logins: Logins) -> None:
    async with running_pool(pace=0.01) as running:
        row = await linked_session(running)
        assert row.stable_at is None
        assert not services.snapshot(session=row).stable
        row = await until(row, lambda now: now.stable_at is not None)
        assert services.snapshot(session=row).stable
        assert (await history(row))[-1] == "stable"


@pytest.mark.parametrize(
    ("reason", "trouble"), [("logged_out", "died_early"), ("main_device_gone", "phone_gone")]
)
async def test_a_link_that_dies_right_after_pairing_says_so(
    logins: Logins, reason: str, trouble: str
) -> None:
    async with running_pool(pace=0.01) as running:
        row = await linked_session(running)
        running.engine.log_out(str(row.pk), reason)
        row = await until(row, lambda now: now.status == Status.LOGGED_OUT)
        assert (row.trouble, row.stable_at) == (trouble, None)
        assert "link_died_early" in await history(row)
        await in_thread(services.view, session=row)  # the page is still open
        row = await until(row, lambda now: now.qr)
        assert row.trouble == trouble
        running.engine.scan(str(row.pk), "79990000001")
        row = await until(row, lambda now: now.status == Status.CONNECTED)
        assert row.trouble == ""


async def test_a_link_that_was_stable_is_merely_logged_out(logins: Logins) -> None:
    async with running_pool(pace=0.01) as running:
        row = await linked_session(running)
        await until(row, lambda now: now.stable_at is not None)
        running.engine.log_out(str(row.pk))
        row = await until(row, lambda now: now.status == Status.LOGGED_OUT)
        assert row.trouble == "logged_out"


async def test_keys_that_cannot_be_read_are_kept(logins: Logins, settings: Any, tmp_path: Path) -> None:
    async with running_pool(pace=0.01) as running:
        row = await linked_session(running)
    await in_thread(StoredCredentials.objects.filter(session=row).update, checksum="0" * 64)
    settings.WHATSAPP_STORE_DIR = str(tmp_path / "another-machine")
    async with running_pool(pace=0.01):
        row = await until(row, lambda now: now.status == Status.FAILED)
        assert (row.trouble, row.is_linked) == ("credentials", True)
        assert await in_thread(StoredCredentials.objects.filter(session=row).exists)


@pytest.mark.parametrize("end", ["replace", "outdated", "ban", "support_stops"])
async def test_what_stands_still_stands_still_through_restarts_of_the_pool(logins: Logins, end: str) -> None:
    async with running_pool(pace=0.01) as running:
        story = Story(await linked_session(running), running, logins)
        await story.do(end)
        before = await settled(story)
    for _restart in range(2):
        async with running_pool(pace=0.01) as running:
            await linked_session(running, "79990000002")  # the new pool has looked around
            assert not running.engine.owns(str(before.pk))
    row = await story.row()
    assert (row.status, row.wanted) == (before.status, before.wanted)


async def test_a_ban_outlives_stopping_and_resuming(logins: Logins) -> None:
    async with running_pool(pace=0.01) as running:
        story = Story(await linked_session(running), running, logins)
        watch(running, story.name, logins)
        await story.do("ban")
        row = await settled(story)
        await in_thread(services.stop, session=row, reason="support")
        await in_thread(services.resume, session=row, reason="support")
        await linked_session(running, "79990000002")  # the pool has looked around
        assert logins.starts == []
        await in_thread(
            Session.objects.filter(pk=row.pk).update,
            next_attempt_at=timezone.now() - timedelta(seconds=1),
        )
        await until(row, lambda now: now.status == Status.CONNECTED)


async def test_a_conflict_that_was_stopped_comes_back_when_it_is_resumed(logins: Logins) -> None:
    async with running_pool(pace=0.01) as running:
        story = Story(await linked_session(running), running, logins)
        await story.do("replace")
        row = await settled(story)
        await in_thread(services.stop, session=row, reason="support")
        await in_thread(services.resume, session=row, reason="support")
        await until(row, lambda now: now.status == Status.CONNECTED)
