"""The cabinet's texts: switches, words with a preview, undo, times of reminders, a test."""

from __future__ import annotations

import re
from datetime import time
from typing import Any

import pytest
from django.test import Client

from config.shared import rate_limits
from marketplace.bookings import wording
from marketplace.inbound import opt_outs
from marketplace.models import BookingSettings, Company, MarketplaceEvent, MessageTemplate
from onboarding.cabinet import texts
from tests.onboarding.cabinet.owners import owned_salon
from whatsapp.models import Message

pytestmark = pytest.mark.django_db(transaction=True)
TEXTS = "/cabinet/307626/texts"
CREATED = f"{TEXTS}/created"
HOSTILE = [
    "{client.__class__}",
    "{client!r}",
    "{0}",
    "{client:>99999999}",
    "{",
    "}",
    "   ",
    "{unknown}",
    "x" * 2001,
]


@pytest.fixture
def salon() -> Company:
    rate_limits.forget()
    return owned_salon(307626, title="Lotus", phone="79990001122")


def page(owner: Client, address: str = TEXTS) -> str:
    answer = owner.get(address)
    assert answer.status_code == 200
    return str(answer.content.decode())


def version(owner: Client) -> str:
    found = re.search(r'name="version" value="(\w+)"', page(owner, CREATED))
    assert found
    return found[1]


def keep(owner: Client, text: str, **fields: str) -> Any:
    return owner.post(CREATED, {"text": text, "version": version(owner), **fields})


def words(salon: Company) -> str:
    return wording.template_of(salon, kind="created", language=wording.settings_of(salon).language)


def test_each_message_is_switched_on_and_off(owner: Client, salon: Company) -> None:
    assert page(owner).count('data-on="1"') == 0
    owner.post(f"{TEXTS}/reminder/switch", {"on": "1"})
    assert BookingSettings.objects.get(company=salon).reminder_on
    assert page(owner).count('data-on="1"') == 1
    owner.post(f"{TEXTS}/reminder/switch", {"on": "0"})
    assert not BookingSettings.objects.get(company=salon).reminder_on
    assert owner.post(f"{TEXTS}/nonsense/switch", {"on": "1"}).status_code == 404


def test_own_words_are_kept_previewed_undone_and_reset(owner: Client, salon: Company) -> None:
    ours = words(salon)
    assert "Lotus" in page(owner, CREATED)
    assert keep(owner, "We wait, {client}!\r\n{staff}").status_code == 303
    assert words(salon) == "We wait, {client}!\n{staff}"
    assert "We wait, " in page(owner)
    keep(owner, "Come, {client}")
    keep(owner, "", action="undo")
    assert words(salon) == "We wait, {client}!\n{staff}"
    keep(owner, "", action="reset")
    assert words(salon) == ours
    keep(owner, "", action="undo")
    assert words(salon) == "We wait, {client}!\n{staff}"
    events = MarketplaceEvent.objects.filter(event_type="texts_changed").order_by("pk")
    assert events.count() == 5
    assert all(event.event_data["by"] == "cabinet" for event in events)
    change = events[1].event_data["changes"]["created"]
    assert (change["before"], change["after"]) == ("We wait, {client}!\n{staff}", "Come, {client}")


def test_two_tabs_do_not_overwrite_each_other_unseen(owner: Client, salon: Company) -> None:
    old = version(owner)
    keep(owner, "first")
    answer = owner.post(CREATED, {"text": "second", "version": old})
    assert answer.status_code == 409
    shown = answer.content.decode()
    assert "changed this text meanwhile" in shown
    assert ">second</textarea>" in shown
    assert words(salon) == "first"
    found = re.search(r'name="version" value="(\w+)"', shown)
    assert found
    owner.post(CREATED, {"text": "second", "version": found[1]})
    assert words(salon) == "second"


@pytest.mark.parametrize("action", ["reset", "undo"])
def test_an_old_tab_takes_nothing_back_unseen(owner: Client, salon: Company, action: str) -> None:
    old = version(owner)
    keep(owner, "first")
    assert owner.post(CREATED, {"action": action, "version": old}).status_code == 409
    assert words(salon) == "first"


def test_a_switch_keeps_what_another_request_changed_at_the_same_time(
    owner: Client, salon: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner.post(f"{TEXTS}/created/switch", {"on": "1"})
    store = texts._store

    def late(*args: Any, **fields: Any) -> int:
        BookingSettings.objects.update(reminder_on=True)
        return store(*args, **fields)

    monkeypatch.setattr(texts, "_store", late)
    owner.post(f"{TEXTS}/moved/switch", {"on": "1"})
    assert BookingSettings.objects.get().reminder_on


@pytest.mark.parametrize("text", HOSTILE)
def test_words_that_mean_more_than_words_are_refused(owner: Client, salon: Company, text: str) -> None:
    answer = keep(owner, text)
    assert answer.status_code == 400
    assert not MessageTemplate.objects.exists()
    assert "problem" in owner.post(f"{CREATED}/preview", {"text": text}).json()


def test_the_preview_is_text_and_keeps_nothing(owner: Client) -> None:
    answer = owner.post(f"{CREATED}/preview", {"text": "<b>{salon}</b>"})
    assert answer.json() == {"text": "<b>Lotus</b>"}
    assert not MessageTemplate.objects.exists()
    keep(owner, "<script>alert(1)</script>")
    for address in (TEXTS, CREATED):
        assert "<script>alert" not in page(owner, address)


def test_reminders_have_several_times_and_quiet_hours(owner: Client, salon: Company) -> None:
    owner.post(f"{TEXTS}/times", {"hours": "2; 48 24", "quiet_from": "20:30", "quiet_until": "10:00"})
    settings = BookingSettings.objects.get(company=salon)
    assert settings.all_reminder_hours == [48, 24, 2]
    assert (settings.quiet_from, settings.quiet_until) == (time(20, 30), time(10))
    assert 'value="48, 24, 2"' in page(owner)


@pytest.mark.parametrize(
    "times",
    [
        {"hours": ""}, {"hours": "0"}, {"hours": "169"}, {"hours": "1 2 3 4 5 6"}, {"hours": "x"},
        {"hours": "²"}, {"hours": "9" * 5000}, {"quiet_from": "25:00"}, {"quiet_until": ""},
    ],
)  # fmt: skip
def test_times_that_make_no_sense_change_nothing(owner: Client, times: dict[str, str]) -> None:
    good = {"hours": "24", "quiet_from": "21:00", "quiet_until": "09:00"}
    answer = owner.post(f"{TEXTS}/times", {**good, **times})
    assert answer.status_code == 400
    assert 'role="alert"' in answer.content.decode()
    assert not BookingSettings.objects.exists()


def test_a_test_goes_to_a_phone_and_its_story_is_shown(owner: Client, salon: Company) -> None:
    answer = owner.post(f"{CREATED}/test", {"phone": "8 999 000-00-01"})
    [message] = Message.objects.filter(source="test")
    assert message.phone == "79990000001"
    assert "Lotus" in message.text
    assert answer["Location"] == f"/cabinet/307626/messages/{message.pk}"
    assert 'data-tone="bad"' in owner.post(f"{CREATED}/test", {"phone": "x"}, follow=True).content.decode()
    for _time in range(12):
        owner.post(f"{CREATED}/test", {"phone": "8 999 000-00-01"})
    assert Message.objects.filter(source="test").count() == 9


def test_the_language_of_our_words_is_chosen(owner: Client, salon: Company) -> None:
    form = {"hours": "24", "quiet_from": "21:00", "quiet_until": "09:00"}
    for language, words in {"en": "Your booking at", "ru": "записаны"}.items():
        owner.post(f"{TEXTS}/times", {**form, "language": language})
        assert BookingSettings.objects.get().language == language
        assert words in page(owner)
    owner.post(f"{TEXTS}/times", {**form, "language": "xx"})
    assert BookingSettings.objects.get().language == "ru"


def test_refused_times_stay_in_the_form(owner: Client) -> None:
    typed = {"hours": "24, 999", "quiet_from": "20:00", "quiet_until": "09:00"}
    assert 'value="24, 999"' in owner.post(f"{TEXTS}/times", typed).content.decode()


def test_a_test_is_sent_once_and_not_to_who_opted_out(owner: Client, salon: Company) -> None:
    form = {"phone": "79990000001", "nonce": "5f0c1c52-7c55-4b3e-9a0b-3f1de2c0a001"}
    for _time in range(2):
        owner.post(f"{CREATED}/test", form)
    assert Message.objects.filter(source="test").count() == 1
    opt_outs.opt_out(company_ids=[salon.pk], phone="79990000001")
    shown = owner.post(f"{CREATED}/test", {"phone": "79990000001"}, follow=True).content.decode()
    assert "no test goes there" in shown
    assert Message.objects.filter(source="test").count() == 1


def test_another_salons_words_stay(owner: Client) -> None:
    others = owned_salon(412870, owner="2", phone="79990002233")
    answer = owner.post("/cabinet/412870/texts/created", {"text": "mine", "action": "keep"})
    assert answer.status_code == 404
    assert not MessageTemplate.objects.filter(company=others).exists()
