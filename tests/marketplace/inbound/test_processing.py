"""What clients write is acted on once: opt-outs obeyed and confirmed, whatever repeats, loops or dies."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from marketplace.inbound import opt_outs, processing
from marketplace.models import BookingSettings, Company, OptOut
from tests.marketplace.clients import IVAN, OLGA, texts_sent, work, writes
from tests.marketplace.salons_data import ALMATY, EKATERINBURG, MOSCOW, make_active
from whatsapp.messages import message_queue as messages
from whatsapp.messages import numbers
from whatsapp.models import Message

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def moscow() -> Company:
    return make_active(MOSCOW, timezone_name="Europe/Moscow")


def is_out(company: Company, phone: str = IVAN) -> bool:
    return opt_outs.opted_out(company_ids=[company.pk], phone=phone, everything=True)


def state(message: Message) -> str:
    return Message.objects.get(pk=message.pk).callback_state


def test_stop_opts_the_client_out_and_is_confirmed_in_the_salons_language(moscow: Company) -> None:
    message = writes(moscow, "Стоп!")
    work()
    assert is_out(moscow)
    assert not is_out(moscow, OLGA)
    assert state(message) == "done"
    assert [text[:6] for text in texts_sent()] == ["Готово"]


def test_a_salon_abroad_confirms_in_english() -> None:
    berlin = make_active(EKATERINBURG, phone="+4930901820", timezone_name="Europe/Berlin")
    writes(berlin, "stop")
    work()
    assert texts_sent()[0].startswith("Done: no more advertising")


def test_the_language_set_for_a_salons_bookings_goes_before_its_country(moscow: Company) -> None:
    BookingSettings.objects.create(company=moscow, language="en")
    writes(moscow, "стоп")
    work()
    assert texts_sent()[0].startswith("Done")


def test_start_opts_in_again_and_says_so(moscow: Company) -> None:
    writes(moscow, "стоп")
    writes(moscow, "старт")
    work()
    assert not is_out(moscow)
    assert len(texts_sent()) == 2


def test_other_words_change_nothing_and_are_answered_by_nobody(moscow: Company) -> None:
    message = writes(moscow, "Спасибо, буду в пять")
    work()
    assert (state(message), OptOut.objects.count(), texts_sent()) == ("done", 0, [])


def test_a_repeated_stop_is_confirmed_once(moscow: Company) -> None:
    for _ in range(3):
        writes(moscow, "СТОП")
        work()
    assert len(texts_sent()) == 1


def test_a_message_that_whatsapp_delivers_twice_counts_once(moscow: Company) -> None:
    writes(moscow, "СТОП", wa_id="SAME")
    work()
    opt_outs.opt_in(company_ids=[moscow.pk], phone=IVAN)
    writes(moscow, "СТОП", wa_id="SAME")
    work()
    assert not is_out(moscow)


def test_two_machines_that_answer_each_other_stop_after_a_few(moscow: Company) -> None:
    for _ in range(10):
        writes(moscow, "stop")
        work()
        writes(moscow, "start")
        work()
    assert len(texts_sent()) == processing.ANSWERS_PER_DAY
    assert not is_out(moscow)
    Message.objects.filter(source="optout").update(created_at=timezone.now() - timedelta(days=2))
    writes(moscow, "stop")
    work()
    assert len(texts_sent()) == processing.ANSWERS_PER_DAY + 1


def test_our_own_confirmation_sent_back_is_no_opt_out(moscow: Company) -> None:
    writes(moscow, "стоп")
    work()
    opt_outs.opt_in(company_ids=[moscow.pk], phone=IVAN)
    writes(moscow, texts_sent()[0])
    work()
    assert not is_out(moscow)


def test_a_word_to_a_shared_number_counts_for_every_salon_of_it_and_is_confirmed_once(
    moscow: Company,
) -> None:
    branch, stranger = make_active(EKATERINBURG, session=moscow.session), make_active(ALMATY)
    writes(moscow, "стоп")
    work()
    assert (is_out(moscow), is_out(branch), is_out(stranger)) == (True, True, False)
    assert len(texts_sent()) == 1


def test_messages_to_a_number_that_no_salon_has_any_more_are_done_with(moscow: Company) -> None:
    message = writes(moscow, "стоп")
    Company.objects.update(session=None)
    work()
    assert (state(message), OptOut.objects.count()) == ("done", 0)


def test_two_workers_act_once(moscow: Company) -> None:
    messages = [writes(moscow, word) for word in ("стоп", "старт") for _ in range(4)]

    def process(message: Message) -> None:
        try:
            processing.process(message.pk)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(process, messages * 2))
    work()
    assert {state(message) for message in messages} == {"done"}
    assert not is_out(moscow)
    assert len(texts_sent()) <= 2


def test_a_death_in_the_middle_leaves_everything_to_be_done_again(
    moscow: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = writes(moscow, "стоп")

    def dies(**_given: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as dying:
        dying.setattr(messages, "queue_message", dies)
        with pytest.raises(KeyboardInterrupt):
            processing.process(message.pk)
    assert (state(message), is_out(moscow), texts_sent()) == ("due", False, [])
    work()
    assert (state(message), is_out(moscow), len(texts_sent())) == ("done", True, 1)


def test_what_fails_is_kept_tried_again_and_given_up_at_last(
    moscow: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = writes(moscow, "стоп")

    def fails(**_given: Any) -> None:
        raise RuntimeError("of no use")

    with monkeypatch.context() as failing:
        failing.setattr(opt_outs, "opt_out", fails)
        for tries in range(1, processing.INBOUND.max_attempts + 1):
            Message.objects.update(callback_next_at=timezone.now())
            work()
            message.refresh_from_db()
            assert message.callback_attempts == tries
    assert (message.callback_state, message.callback_error) == ("dead", "RuntimeError('of no use')")
    assert processing.INBOUND.due(limit=9) == []
    assert processing.replay(message=message)
    work()
    assert is_out(moscow)


def test_a_client_known_by_his_lid_alone_is_opted_out_when_his_phone_is_told(moscow: Company) -> None:
    message = writes(moscow, "стоп", phone=None, lid="77@lid")
    work()
    assert (state(message), OptOut.objects.count()) == ("due", 0)
    assert processing.INBOUND.due(limit=9) == []
    numbers.pair(phone=IVAN, lid="77@lid")
    Message.objects.update(callback_next_at=timezone.now())
    work()
    assert (state(message), is_out(moscow)) == ("done", True)
    assert Message.objects.get(pk=message.pk).phone == IVAN


def test_a_client_whose_phone_stays_unknown_is_shown_to_support_after_a_day(moscow: Company) -> None:
    message = writes(moscow, "стоп", phone=None, lid="77@lid")
    Message.objects.update(created_at=timezone.now() - timedelta(hours=25))
    work()
    message.refresh_from_db()
    assert (message.callback_state, message.callback_error[:10]) == ("dead", "the client")
