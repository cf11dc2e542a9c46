"""The worker: what is due is done soon, once, and in spite of failures."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import OperationalError
from django.utils import timezone

from marketplace.models import Company, CompanyCheck, InboundWebhook, MarketplaceEvent
from marketplace.sync import connections, reconciliation
from marketplace.webhooks import processing
from marketplace.worker.jobs import Job, all_jobs
from marketplace.worker.loop import Worker
from tests.marketplace.local_yclients import LocalYClients
from tests.marketplace.salons_data import ALMATY, MOSCOW, connect_phone, make_active
from whatsapp.models import Session
from whatsapp.sessions import services

pytestmark = pytest.mark.django_db(transaction=True)


@asynccontextmanager
async def at_work(*workers: Worker) -> AsyncIterator[None]:
    """The workers run meanwhile, and stop well at the end."""
    stop = asyncio.Event()
    tasks = [asyncio.create_task(worker.run(stop)) for worker in workers]
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(asyncio.gather(*tasks), 60)


async def until(is_so: Callable[[], Any], seconds: float = 60) -> None:
    """Return when `is_so`, asked in a thread, is true."""
    async with asyncio.timeout(seconds):
        while not await sync_to_async(is_so)():  # a database has no event to wait for
            await asyncio.sleep(0.05)


def is_active() -> bool:
    return Company.objects.filter(salon_id=MOSCOW, status="active").exists()


def events(*kinds: str) -> list[str]:
    found = MarketplaceEvent.objects.filter(event_type__in=kinds).order_by("id")
    return [event.event_type for event in found]


async def test_a_salon_is_activated_by_the_hint_that_its_phone_is_connected(
    registered: Company, yclients: LocalYClients
) -> None:
    async with at_work(Worker(poll=600)):
        await asyncio.sleep(0)
        session = await sync_to_async(connect_phone)(registered)
        await sync_to_async(services.mark_changed)(session=session)
        await until(is_active)
        await until(lambda: events("whatsapp_connected"))
    found = await sync_to_async(events)("integration_activated", "whatsapp_connected")
    assert sorted(found) == ["integration_activated", "whatsapp_connected"]


async def test_several_workers_activate_every_branch_once(
    registered: Company, yclients: LocalYClients
) -> None:
    def add_almaty() -> None:
        yclients.press_connect(ALMATY)
        Company.objects.create(salon_id=ALMATY, session=registered.session)
        connect_phone(registered)

    await sync_to_async(add_almaty)()
    async with at_work(Worker(), Worker(), Worker()):
        await until(lambda: Company.objects.filter(status="active").count() == 2)
        await until(lambda: len(events("whatsapp_connected")) == 2)
    assert await sync_to_async(events)("integration_activated") == ["integration_activated"] * 2
    for salon_id in (MOSCOW, ALMATY):
        assert yclients.installation(salon_id).activations == 1


async def test_an_interrupted_activation_is_taken_up(connected: Company, yclients: LocalYClients) -> None:
    await sync_to_async(Company.objects.update)(
        status="activating",
        api_key="k1",
        api_key_digest="d1",
        key_offered=True,
        activation_claimed_until=timezone.now(),
    )
    async with at_work(Worker()):
        await until(is_active)
    assert yclients.installation(MOSCOW).api_keys == ["k1"]


async def test_failed_webhooks_are_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def prepare() -> None:
        make_active()
        InboundWebhook.objects.create(
            kind="lifecycle",
            dedupe_key="k",
            salon_id=MOSCOW,
            name="freeze",
            body={},
            state="failed",
            attempts=1,
            next_attempt_at=timezone.now(),
        )

    await sync_to_async(prepare)()
    async with at_work(Worker()):
        await until(lambda: Company.objects.get().status == "frozen")
    assert (await InboundWebhook.objects.aget()).state == "applied"


async def test_a_database_that_is_away_is_waited_for(
    connected: Company, yclients: LocalYClients, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = iter([OperationalError("gone")] * 2)
    jobs = all_jobs()
    find = jobs[0].find

    def unreliable(**more: Any) -> list[int]:
        for failure in failures:
            raise failure
        return find(**more)

    jobs[0].find = unreliable
    async with at_work(Worker(jobs=jobs)):
        await until(is_active)


async def test_work_that_raises_is_backed_off_and_does_not_stop_the_rest() -> None:
    done: list[int] = []

    def work(row: int) -> None:
        done.append(row)
        if row == 1:
            raise ValueError("this row is broken")

    job = Job("test", lambda *, limit: [1, 2][:limit], work, at_once=1)
    async with at_work(Worker(jobs=[job], poll=0.02)):
        await until(lambda: done.count(2) > 5)
    assert done.count(1) == 1


async def test_a_worker_with_a_dead_part_does_not_look_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    async def die(_worker: Worker, _listener: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(Worker, "_forward_hints", die)
    with pytest.raises(RuntimeError, match="a bug"):
        await asyncio.wait_for(Worker().run(asyncio.Event()), 60)


async def test_stopping_does_not_wait_for_ever_for_work_that_hangs() -> None:
    import threading

    hang, begun = threading.Event(), threading.Event()

    def work(_row: int) -> None:
        begun.set()
        hang.wait(20)

    worker = Worker(jobs=[Job("test", lambda *, limit: [1], work, at_once=1)], grace=0.1)
    async with at_work(worker):
        await until(begun.is_set)
    assert worker.unfinished == 1
    hang.set()


def test_a_link_is_written_down_once_for_each_pairing_and_so_is_its_end() -> None:
    def note_all() -> None:
        for company_id in connections.due(limit=9) * 2:
            connections.record(company_id)

    make_active()
    for _look in range(3):
        note_all()
    Session.objects.update(status="reconnecting")
    note_all()
    Session.objects.update(status="connected", connected_at=timezone.now())
    note_all()
    assert events("whatsapp_connected", "whatsapp_logged_out") == ["whatsapp_connected"]
    Session.objects.update(status="logged_out", jid="", last_error="device removed")
    note_all()
    note_all()
    Session.objects.update(status="connected", jid="7999:2@s.whatsapp.net", paired_at=timezone.now())
    note_all()
    assert events("whatsapp_connected", "whatsapp_logged_out") == [
        "whatsapp_connected",
        "whatsapp_logged_out",
        "whatsapp_connected",
    ]


def test_a_frozen_salon_is_asked_about_now_and_then(yclients: LocalYClients) -> None:
    company = make_active(status="frozen")
    row = CompanyCheck.objects.create(company=company, next_at=timezone.now())
    yclients.press_connect(MOSCOW)
    yclients.do(
        lambda there: there.marketplace.activate(
            salon_id=MOSCOW, api_key="k", webhook_urls=[], channels=["whatsapp"]
        )
    )
    yclients.change(MOSCOW, "freeze")
    assert reconciliation.due(limit=9) == [row.pk]
    reconciliation.check(row.pk)
    assert reconciliation.due(limit=9) == []
    reconciliation.check(row.pk)
    assert len(yclients.calls("install_status")) == 1
    yclients.change(MOSCOW, "unfreeze")
    CompanyCheck.objects.update(next_at=timezone.now())
    reconciliation.check(row.pk)
    company.refresh_from_db()
    assert company.status == "active"
    assert events("unfrozen") == ["unfrozen"]


def test_a_salon_frozen_a_moment_ago_is_not_asked_about_yet() -> None:
    make_active()
    kept = InboundWebhook.objects.create(
        kind="lifecycle",
        dedupe_key="k",
        salon_id=MOSCOW,
        name="freeze",
        body={},
        next_attempt_at=timezone.now(),
    )
    assert processing.apply(webhook=kept) == "applied"
    assert reconciliation.due(limit=9) == []


async def test_many_hints_lead_to_one_look_after_a_rest() -> None:
    job = Job("test", lambda limit: [], lambda _row: None, at_once=1, interval=0.05)
    job.hint()
    assert job.wake.is_set()  # nobody has looked lately
    job.wake.clear()
    job.looked_at = time.monotonic()
    for _ in range(100):
        job.hint()
    assert not job.wake.is_set()
    async with asyncio.timeout(60):
        await job.wake.wait()
    assert job.timer is None
