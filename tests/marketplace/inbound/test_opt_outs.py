"""Clients who want no messages: what they say, for whom it counts, and what no longer goes out."""

from datetime import timedelta

import pytest
from django.utils import timezone

from marketplace.inbound import opt_outs
from marketplace.models import Company, OptOut
from tests.marketplace.salons_data import EKATERINBURG, MOSCOW, make_active
from whatsapp.messages import message_queue
from whatsapp.messages.message_queue import NewMessage
from whatsapp.models import Message

pytestmark = pytest.mark.django_db(transaction=True)
IVAN, OLGA = "79990000000", "79990000001"


@pytest.fixture
def moscow() -> Company:
    return make_active(MOSCOW)


def queued(company: Company, source: str, *, phone: str = IVAN, category: str = "service") -> Message:
    assert company.session is not None
    new = NewMessage(phone=phone, text="…", source=source, external_id=f"{source}{phone}", category=category)
    return message_queue.queue_message(session=company.session, message=new)


def says_stop(company: Company, **more: object) -> bool:
    return opt_outs.opt_out(company_ids=[company.pk], phone=IVAN, **more)  # type: ignore[arg-type]


def test_a_client_who_said_nothing_gets_everything(moscow: Company) -> None:
    assert not opt_outs.opted_out(company_ids=[moscow.pk], phone=IVAN)
    assert not opt_outs.opted_out(company_ids=[moscow.pk], phone=IVAN, everything=True)


def test_an_opt_out_covers_advertising_and_bookings_of_this_client_and_salon_alone(moscow: Company) -> None:
    other = make_active(EKATERINBURG)
    assert says_stop(moscow)
    assert opt_outs.opted_out(company_ids=[moscow.pk], phone=IVAN)
    assert opt_outs.opted_out(company_ids=[moscow.pk, other.pk], phone=IVAN, everything=True)
    assert not opt_outs.opted_out(company_ids=[moscow.pk], phone=OLGA)
    assert not opt_outs.opted_out(company_ids=[other.pk], phone=IVAN)


def test_an_opt_out_of_advertising_leaves_bookings(moscow: Company) -> None:
    assert says_stop(moscow, scope=OptOut.Scope.ADDS)
    assert opt_outs.opted_out(company_ids=[moscow.pk], phone=IVAN)
    assert not opt_outs.opted_out(company_ids=[moscow.pk], phone=IVAN, everything=True)


def test_saying_it_again_is_no_news_and_opting_in_undoes_it(moscow: Company) -> None:
    assert says_stop(moscow)
    assert not says_stop(moscow)
    assert opt_outs.opt_in(company_ids=[moscow.pk], phone=IVAN)
    assert not opt_outs.opt_in(company_ids=[moscow.pk], phone=IVAN)
    assert not opt_outs.opted_out(company_ids=[moscow.pk], phone=IVAN)
    assert says_stop(moscow)
    assert OptOut.objects.count() == 1


def test_a_start_from_somebody_who_never_opted_out_leaves_no_row(moscow: Company) -> None:
    assert not opt_outs.opt_in(company_ids=[moscow.pk], phone=IVAN)
    assert not OptOut.objects.exists()


def test_words_read_in_the_wrong_order_count_in_the_order_they_were_said(moscow: Company) -> None:
    now = timezone.now()
    assert says_stop(moscow, said_at=now - timedelta(minutes=2))
    assert opt_outs.opt_in(company_ids=[moscow.pk], phone=IVAN, said_at=now)
    assert not says_stop(moscow, said_at=now - timedelta(minutes=1))
    assert not opt_outs.opted_out(company_ids=[moscow.pk], phone=IVAN)


def test_what_waits_is_ended_and_service_notifications_still_go_out(moscow: Company) -> None:
    advertising = queued(moscow, "operator", category="adds")
    booking, reminder = queued(moscow, "booking"), queued(moscow, "reminder")
    service, others = queued(moscow, "test"), queued(moscow, "booking", phone=OLGA)
    says_stop(moscow)
    for ended in (advertising, booking, reminder):
        ended.refresh_from_db()
        assert (ended.status, ended.error_code) == ("failed", "opted_out")
    for going in (service, others):
        going.refresh_from_db()
        assert going.status == "queued"


def test_what_is_being_sent_goes_out(moscow: Company) -> None:
    advertising = queued(moscow, "operator", category="adds")
    Message.objects.filter(pk=advertising.pk).update(status="sending")
    says_stop(moscow)
    advertising.refresh_from_db()
    assert advertising.status == "sending"
