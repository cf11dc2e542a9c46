"""Queueing messages, withdrawing them, sending one again, and which callbacks become due."""

import time
from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from tests.whatsapp.outgoing import CLIENT, new
from whatsapp.engine.events import NumberResult, Receipt, Sent
from whatsapp.messages import inbox, message_queue, numbers, outbox
from whatsapp.messages.claims import ClaimRequest, claim
from whatsapp.models import KnownNumber, Message, Session
from whatsapp.sessions.leases import Lease, LeaseLost

pytestmark = pytest.mark.django_db
Status = Message.Status
URL = "https://callback.example/statuses?token=secret"


@pytest.fixture
def session() -> Session:
    return Session.objects.create(
        jid="79990000001:1@s.whatsapp.net",
        phone="79990000001",
        wanted="linked",
        status="connected",
        lease_owner="pool-a",
        lease_token=3,
    )


@pytest.fixture
def lease(session: Session) -> Lease:
    return Lease(session_id=session.pk, owner="pool-a", token=3, deadline=time.monotonic() + 60)


def one(session: Session, **fields: object) -> Message:
    return message_queue.queue_message(session=session, message=new(**fields))  # type: ignore[arg-type]


def claimed(lease: Lease, session: Session, **fields: object) -> Message:
    message = one(session, **fields)
    step = claim(ClaimRequest(lease, unchecked_too=True))
    assert step.message == message
    return step.message


def acknowledge(message: Message, *, attempt: int, name: str) -> int:
    return outbox.record_sent([Sent(str(message.session_id), f"{message.pk}.{attempt}", name)])


def withdraw(session: Session) -> int:
    waiting = Message.objects.filter(session=session)
    return message_queue.finish_waiting(waiting, error_code="test", error="withdrawn by a test")


def answer(phone: str, *, on_whatsapp: bool = True, jid: str | None = None) -> NumberResult:
    return NumberResult(phone=phone, jid=jid, lid=None, on_whatsapp=on_whatsapp)


class TestTaking:
    def test_a_repeat_returns_the_row_that_is_there(self, session: Session) -> None:
        first = one(session, external_id="42", text="first")
        again = one(session, external_id="42", text="other words")
        assert (again.pk, again.text) == (first.pk, "first")
        assert Message.objects.count() == 1

    def test_a_repeat_within_one_request_is_one_message(self, session: Session) -> None:
        rows = message_queue.queue_messages(
            session=session, messages=[new(external_id="7"), new(external_id="7")]
        )
        assert rows[0].pk == rows[1].pk

    def test_the_same_name_of_another_session_or_source_is_another_message(self, session: Session) -> None:
        other = Session.objects.create(jid="1:1@s.whatsapp.net")
        rows = {
            one(session, external_id="7").pk,
            one(other, external_id="7").pk,
            one(session, external_id="7", source="booking").pk,
        }
        assert len(rows) == 3

    def test_a_thousand_are_taken_in_order_by_few_statements(
        self, session: Session, django_assert_max_num_queries: DjangoAssertNumQueries
    ) -> None:
        batch = [new(f"text {number}", callback_url=URL) for number in range(1000)]
        with django_assert_max_num_queries(50):  # SQLite takes fewer rows in one
            rows = message_queue.queue_messages(session=session, messages=batch)
        assert [row.external_id for row in rows] == [each.external_id for each in batch]
        assert [row.pk for row in rows] == sorted(row.pk for row in rows)

    def test_a_phone_that_is_not_digits_is_the_callers_fault(self, session: Session) -> None:
        with pytest.raises(ValueError, match="digits"):
            one(session, phone="+7 999 555-01-01")

    def test_what_the_database_cannot_keep_is_left_out(self, session: Session) -> None:
        assert one(session, text="a\x00b\ud83d").text == "ab?"

    def test_the_callback_address_is_encrypted(self, session: Session) -> None:
        from django.db import connection

        one(session, callback_url=URL)
        with connection.cursor() as cursor:
            cursor.execute("SELECT callback_url FROM whatsapp_message")
            assert "secret" not in cursor.fetchone()[0]
        assert Message.objects.get().callback_url == URL


class TestClaiming:
    def test_a_lost_lease_claims_nothing(self, session: Session, lease: Lease) -> None:
        message = one(session)
        lease.token = 2
        with pytest.raises(LeaseLost):
            claim(ClaimRequest(lease, unchecked_too=True))
        message.refresh_from_db()
        assert message.status == Status.QUEUED

    def test_unknown_numbers_are_asked_about_first_and_ahead(self, session: Session, lease: Lease) -> None:
        one(session, phone="79990000010")
        one(session, phone="79990000011")
        step = claim(ClaimRequest(lease, unchecked_too=False))
        assert step.message is None
        assert step.to_check == ("79990000010", "79990000011")

    def test_the_answer_is_remembered_for_a_day(self, session: Session, lease: Lease) -> None:
        numbers.record([answer(CLIENT)])
        assert numbers.known(CLIENT) is not None
        KnownNumber.objects.update(checked_at=timezone.now() - timedelta(hours=25))
        assert numbers.known(CLIENT) is None
        one(session)
        assert claim(ClaimRequest(lease, unchecked_too=False)).to_check == (CLIENT,)

    def test_a_number_that_whatsapp_knows_by_another_name_is_written_to_there(
        self, session: Session, lease: Lease
    ) -> None:
        numbers.record([answer("5511987654321", jid="551187654321@s.whatsapp.net")])
        one(session, phone="5511987654321")
        assert claim(ClaimRequest(lease, unchecked_too=False)).address == "551187654321"

    def test_a_lid_outlives_an_answer_without_one(self) -> None:
        numbers.pair(phone=CLIENT, lid="123@lid")
        numbers.record([answer(CLIENT)])
        assert numbers.phone_of("123@lid") == CLIENT

    def test_two_of_one_session_are_never_in_flight(self, session: Session, lease: Lease) -> None:
        claimed(lease, session)
        second = one(session)
        with pytest.raises(IntegrityError), transaction.atomic():
            Message.objects.filter(pk=second.pk).update(status=Status.SENDING)


class TestTruth:
    def test_an_acknowledgement_of_an_older_attempt_is_not_taken_for_the_newer(
        self, session: Session, lease: Lease
    ) -> None:
        message = claimed(lease, session)
        outbox.settle_previous(lease)
        assert claim(ClaimRequest(lease, unchecked_too=True)).message == message
        assert not acknowledge(message, attempt=1, name="A")
        assert acknowledge(message, attempt=2, name="B")

    def test_a_late_acknowledgement_saves_the_second_sending(self, session: Session, lease: Lease) -> None:
        message = claimed(lease, session)
        outbox.settle_previous(lease)
        assert acknowledge(message, attempt=1, name="A")
        assert claim(ClaimRequest(lease, unchecked_too=True)).message is None

    def test_an_unknown_number_of_refusals_ends_in_failure(self, session: Session, lease: Lease) -> None:
        message = claimed(lease, session)
        for attempt in range(1, 6):
            status = outbox.record_failed(
                pk=message.pk, attempt=attempt, error="refused: 503", permanent=False
            )
            if attempt < 5:
                assert status == Status.QUEUED
                claim(ClaimRequest(lease, unchecked_too=True))
        assert status == Status.FAILED

    def test_what_may_have_gone_out_is_not_called_expired(self, session: Session, lease: Lease) -> None:
        message = claimed(lease, session)
        outbox.settle_previous(lease)
        Message.objects.update(expires_at=timezone.now())
        assert message_queue.expire_due() == 1
        message.refresh_from_db()
        assert (message.status, message.error_code) == (Status.UNKNOWN, "unknown_outcome")

    def test_receipts_of_another_session_change_nothing(self, session: Session, lease: Lease) -> None:
        message = claimed(lease, session)
        acknowledge(message, attempt=1, name="A")
        other = Session.objects.create()
        receipt = Receipt(str(other.pk), ["A"], "read", time.time())
        assert inbox.record_receipts([receipt]) == [receipt]
        message.refresh_from_db()
        assert message.status == Status.SENT

    def test_many_acknowledgements_and_receipts_are_written_at_once_each_to_its_own(self) -> None:
        rows = []
        for number in range(3):
            linked = Session.objects.create(
                jid=f"{number}:1@s.whatsapp.net", lease_owner="a", wanted="linked"
            )
            lease = Lease(session_id=linked.pk, owner="a", token=0, deadline=time.monotonic() + 60)
            rows.append(claimed(lease, linked))
        names = [str(row.session_id) for row in rows]
        assert (
            outbox.record_sent([Sent(names[n], f"{row.pk}.1", f"ID{n}") for n, row in enumerate(rows)]) == 3
        )
        earlier, later = time.time() - 60, time.time()
        receipts = [
            Receipt(names[0], ["ID0"], "delivered", later),
            Receipt(names[1], ["ID1"], "read", later),
            Receipt(names[0], ["ID0"], "read", later),
            Receipt(names[2], ["ID2", "of the phone"], "delivered", earlier),
        ]
        assert inbox.record_receipts(receipts) == [Receipt(names[2], ["of the phone"], "delivered", earlier)]
        found = dict(Message.objects.values_list("wa_message_id", "status"))
        assert found == {"ID0": "read", "ID1": "read", "ID2": "delivered"}
        last = Message.objects.get(wa_message_id="ID2")
        assert last.delivered_at == last.sent_at  # never before it was sent, whatever WhatsApp's clock says


class TestWithdrawing:
    def test_only_what_waits_is_withdrawn(self, session: Session, lease: Lease) -> None:
        sending = claimed(lease, session, external_id="a", source="reminder")
        one(session, external_id="b", source="reminder")
        assert withdraw(session) == 1
        sending.refresh_from_db()
        assert sending.status == Status.SENDING

    def test_messages_of_a_session_that_lost_its_device_meanwhile_are_found(self, session: Session) -> None:
        message = one(session)
        Session.objects.update(jid="", status="logged_out")
        assert message_queue.fail_unlinked() == 1
        message.refresh_from_db()
        assert message.error_code == "session_unlinked"


class TestSendingAgain:
    def test_a_failed_message_is_sent_again_as_a_new_one(self, session: Session) -> None:
        message = one(session, callback_url=URL)
        withdraw(session)
        copy = message_queue.resend(message=message)
        assert (copy.text, copy.source, copy.status) == (message.text, "support", Status.QUEUED)
        assert Message.objects.get(pk=copy.pk).callback_url == ""

    def test_a_second_click_sends_no_second_copy(self, session: Session) -> None:
        message = one(session)
        withdraw(session)
        message_queue.resend(message=message)
        with pytest.raises(message_queue.NotResendable):
            message_queue.resend(message=message)

    def test_a_message_that_waits_or_went_out_is_not_sent_again(self, session: Session) -> None:
        with pytest.raises(message_queue.NotResendable):
            message_queue.resend(message=one(session))


class TestCallbacks:
    def test_a_new_status_makes_it_due_but_keeps_a_pause_and_an_end(
        self, session: Session, lease: Lease
    ) -> None:
        later = timezone.now() + timedelta(minutes=10)
        states = {"done": "due", "due": "due", "dead": "dead", "none": "none"}
        for state, then in states.items():
            message = claimed(lease, session)
            Message.objects.filter(pk=message.pk).update(callback_state=state, callback_next_at=later)
            acknowledge(message, attempt=1, name=f"id-{state}")
            message.refresh_from_db()
            assert message.callback_state == then
            assert (message.callback_next_at == later) is (state != "done")

    def test_counts_tell_how_long_the_oldest_waits(self, session: Session) -> None:
        one(session, not_before=timezone.now() - timedelta(minutes=5))
        one(session, not_before=timezone.now() + timedelta(minutes=5))
        counted = message_queue.counts()
        assert counted.by_status["queued"] == 2
        assert counted.oldest_due_at is not None
        assert timezone.now() - counted.oldest_due_at > timedelta(minutes=4)
