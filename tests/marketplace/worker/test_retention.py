"""What is forgotten with time, and what stays."""

import threading
from dataclasses import replace
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from marketplace.models import Company, InboundWebhook, MarketplaceEvent, RecordState, ScheduledTask
from marketplace.models.forwarding import ForwardedMessage, Forwarding
from marketplace.worker import retention
from marketplace.worker.loop import Worker
from tests.marketplace.notifications.test_intake import post, request
from tests.marketplace.salons_data import MOSCOW, make_active
from tests.marketplace.worker.test_worker import at_work, until
from whatsapp.messages import message_queue
from whatsapp.messages import retention as whatsapp_retention
from whatsapp.models import Conversation, KnownNumber, Message, Session, SessionEvent

pytestmark = pytest.mark.django_db(transaction=True)
LONG_AGO = timedelta(days=91)
PHONE = "79990000000"


def make(company: Company, *, age: timedelta = LONG_AGO, **fields: Any) -> Message:
    given: dict[str, Any] = {
        "source": "operator", "phone": PHONE, "text": "Ждём вас", "lid": "1@lid", "status": "read",
        "wa_message_id": "W", "external_id": f"{MOSCOW}:{Message.objects.count()}", "error": PHONE,
        "callback_url": "https://yclients.com/?token=t", "callback_state": "done", **fields,
    }  # fmt: skip
    return Message.objects.create(session=session_of(company), created_at=timezone.now() - age, **given)


def session_of(company: Company) -> Session:
    assert company.session is not None
    return company.session


def is_pruned(message: Message) -> bool:
    message.refresh_from_db()
    left = (message.text, message.phone, message.lid, message.error, message.callback_url)
    gone = left == ("", "", "", "", "")
    assert gone == (message.pruned_at is not None)
    return gone


def prune(*words: str) -> str:
    out = StringIO()
    call_command("prune", *words, stdout=out)
    return out.getvalue()


def test_texts_and_phones_go_after_ninety_days_and_everything_else_stays() -> None:
    company = make_active()
    old, young = make(company), make(company, age=timedelta(days=89))
    assert "messages, older than 90 days: 1 forgotten" in prune()
    assert (is_pruned(old), is_pruned(young)) == (True, False)
    assert (old.status, old.wa_message_id, old.external_id) == ("read", "W", f"{MOSCOW}:0")
    assert message_queue.counts().by_status["read"] == 2


@pytest.mark.parametrize(
    ("fields", "goes"),
    [
        ({"status": "queued", "wa_message_id": ""}, False),
        ({"status": "sending", "wa_message_id": ""}, False),
        ({"callback_state": "due"}, False),
        ({"callback_state": "dead"}, True),
        ({"status": "failed"}, True),
        ({"status": "unknown"}, True),
        ({"direction": "in", "status": "received", "source": "inbound", "callback_state": "done"}, True),
        ({"direction": "in", "status": "received", "source": "inbound", "callback_state": "due"}, False),
    ],
)
def test_what_has_not_ended_is_kept(fields: dict[str, Any], goes: bool) -> None:
    message = make(make_active(), **fields)
    retention.prune()
    assert is_pruned(message) == goes


def test_a_conversation_goes_when_nothing_was_written_for_as_long() -> None:
    company = make_active()
    for phone, age in ((PHONE, LONG_AGO), ("79990000001", timedelta(days=89))):
        message = make(company, age=age, phone=phone, lid="")
        Conversation.objects.create(
            session=session_of(company), phone=phone, last_message=message, last_received=message.pk,
            last_at=message.created_at,
        )  # fmt: skip
    retention.prune()
    assert [row.phone for row in Conversation.objects.all()] == ["79990000001"]


def test_a_repeat_of_a_pruned_message_gets_the_same_ext_id_and_sends_nothing() -> None:
    make_active()

    first = post(request()).json()
    Message.objects.update(
        created_at=timezone.now() - LONG_AGO, status="delivered", wa_message_id="W", callback_state="done"
    )
    retention.prune()
    assert is_pruned(Message.objects.get())
    assert post(request()).json() == first
    assert Message.objects.get().status == "delivered"


def test_a_pruned_message_is_not_sent_again() -> None:
    message = make(make_active(), status="failed")
    retention.prune()
    with pytest.raises(message_queue.NotResendable):
        message_queue.resend(message=message)


def make_old_rows() -> Company:
    company = make_active()
    long_ago = timezone.now() - timedelta(days=200)
    SessionEvent.objects.create(session=session_of(company), kind="connected")
    SessionEvent.objects.update(created_at=long_ago)
    SessionEvent.objects.create(session=session_of(company), kind="disconnected")
    for phone, checked in (("79990000001", long_ago), ("79990000002", timezone.now())):
        KnownNumber.objects.create(phone=phone, on_whatsapp=True, checked_at=checked)
    for state in InboundWebhook.State.values:
        InboundWebhook.objects.create(kind="entity", dedupe_key=state, name="record", body={}, state=state)
    InboundWebhook.objects.update(received_at=long_ago)
    InboundWebhook.objects.create(kind="entity", dedupe_key="new", name="record", body={}, state="applied")
    for number, starts_at in enumerate((long_ago, timezone.now() + timedelta(days=1))):
        RecordState.objects.create(company=company, record_id=number, phone=PHONE, starts_at=starts_at)
    RecordState.objects.update(updated_at=long_ago)
    company.note("integration_activated", by="worker")
    MarketplaceEvent.objects.update(created_at=long_ago)
    return company


def test_a_kind_that_fails_does_not_keep_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_before: Any, _after: int) -> Any:
        raise RuntimeError("of no use")

    make_old_rows()
    first, *others = retention.KINDS
    monkeypatch.setattr(retention, "KINDS", (replace(first, forget=fails), *others))
    with pytest.raises(RuntimeError):
        retention.prune()
    assert {result.kind for result in retention.count() if result.rows} == {"webhooks"}


def test_each_kind_has_an_age_and_open_things_stay() -> None:
    make_old_rows()
    before = retention.count()
    assert {result.kind: result.rows for result in retention.prune()} == {
        "webhooks": 3, "forwarded": 0, "bookings": 1, "owners": 0, "media": 0, "conversations": 0,
        "messages": 0, "numbers": 1, "session-events": 1,
    }  # fmt: skip
    assert {result.kind for result in before if result.rows} == {
        "webhooks", "bookings", "numbers", "session-events",
    }  # fmt: skip
    assert set(InboundWebhook.objects.values_list("dedupe_key", flat=True)) == {"received", "failed", "new"}
    assert [event.kind for event in SessionEvent.objects.all()] == ["disconnected"]
    assert [record.record_id for record in RecordState.objects.all()] == [1]
    assert MarketplaceEvent.objects.count() == 1
    assert not any(result.rows for result in retention.prune())


def test_a_forwarding_that_has_ended_goes_with_its_message() -> None:
    company = make_active()
    forwarding = Forwarding.objects.create(company=company, url="https://bot.example/in")
    for state in ("due", "dead"):
        message = make(company, direction="in", status="received", source="inbound", wa_message_id=state)
        ForwardedMessage.objects.create(forwarding=forwarding, message=message, state=state)
    ForwardedMessage.objects.update(created_at=timezone.now() - LONG_AGO)
    retention.prune()
    assert [row.state for row in ForwardedMessage.objects.all()] == ["due"]


def test_a_dry_run_counts_and_changes_nothing() -> None:
    make_old_rows()
    message = make(Company.objects.get())
    said = prune("--dry-run")
    assert "messages, older than 90 days: 1 would be forgotten" in said
    assert "webhooks, older than 30 days: 3 would be forgotten" in said
    assert not is_pruned(message)
    assert InboundWebhook.objects.count() == 6


def test_an_age_can_be_given_and_nought_keeps_for_ever(settings: Settings) -> None:
    message = make(make_active(), age=timedelta(days=10))
    settings.RETENTION_MESSAGES_DAYS = 0
    assert "messages, kept for ever: 0 forgotten" in prune()
    assert not is_pruned(message)
    prune("--messages", "7")
    assert is_pruned(message)
    with pytest.raises(CommandError):
        prune("--messages", "-1")


def test_batches_reach_everything_and_a_round_can_be_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whatsapp_retention, "BATCH", 2)
    company = make_active()
    made = [make(company, status="queued" if n == 2 else "read", wa_message_id=f"W{n}") for n in range(7)]
    assert not all(result.complete for result in retention.prune(seconds=0))
    retention.prune()
    assert [is_pruned(message) for message in made] == [n != 2 for n in range(7)]


def test_an_answer_of_whatsapp_that_comes_meanwhile_is_not_overwritten() -> None:
    """A receipt for an old message makes its report due: the address is needed then."""
    message = make(make_active())
    batch = whatsapp_retention.old_messages(timezone.now())
    assert batch.exists()
    Message.objects.filter(pk=message.pk).update(callback_state="due")
    retention.prune()
    assert not is_pruned(message)


async def test_the_worker_does_a_round_once_a_day() -> None:
    message = await sync_to_async(lambda: make(make_active()))()
    async with at_work(Worker(poll=0.1)):
        await until(
            lambda: ScheduledTask.objects.filter(name=retention.TASK, finished_at__isnull=False).exists()
        )
    task = await ScheduledTask.objects.aget(name=retention.TASK)
    assert await sync_to_async(is_pruned)(message)
    assert task.report["messages"] == 1
    assert timedelta(hours=23) < task.next_at - timezone.now() <= timedelta(days=1)


def test_of_several_workers_one_does_the_round(monkeypatch: pytest.MonkeyPatch) -> None:
    rounds: list[float | None] = []

    def prune_once(*, seconds: float) -> list[retention.Result]:
        rounds.append(seconds)
        return []

    monkeypatch.setattr(retention, "prune", prune_once)
    (task,) = retention.due(limit=1)

    def work() -> None:
        retention.prune_due(task)
        connection.close()

    workers = [threading.Thread(target=work) for _ in range(4)]
    for thread in workers:
        thread.start()
    for thread in workers:
        thread.join()
    assert len(rounds) == 1
    assert retention.due(limit=1) == []


def test_what_a_slice_leaves_is_due_again_in_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "SLICE", 0.0)
    make(make_active())
    (task,) = retention.due(limit=1)
    retention.prune_due(task)
    row = ScheduledTask.objects.get(name=retention.TASK)
    assert row.finished_at is None
    assert row.next_at - timezone.now() < timedelta(seconds=6)


def test_a_worker_that_died_in_the_middle_leaves_the_round_to_another() -> None:
    (task,) = retention.due(limit=1)
    ScheduledTask.objects.update(started_at=timezone.now(), next_at=timezone.now() + retention.ROUNDS.lease)
    assert retention.due(limit=1) == []
    ScheduledTask.objects.update(next_at=timezone.now())
    assert retention.due(limit=1) == [task]
