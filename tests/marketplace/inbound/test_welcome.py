"""The welcome: once, to the salon's own number, in its language and in support's words."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.utils import timezone

from marketplace.inbound import welcome
from marketplace.models import Company
from marketplace.models.welcome import LANGUAGES, WelcomeText
from marketplace.salons import lifecycle
from marketplace.salons.registration import start_registration
from tests.marketplace.local_yclients import LocalYClients
from tests.marketplace.salons_data import ALMATY, ANDREY, EKATERINBURG, MOSCOW, connect_phone, make_active
from whatsapp.messages import message_queue
from whatsapp.models import Message, Session

pytestmark = pytest.mark.django_db(transaction=True)
OWN = "79990000900"


def session_of(phone: str = OWN) -> Session:
    return Session.objects.create(
        status="connected", wanted="linked", phone=phone, jid=f"{phone}:1@s.whatsapp.net"
    )


def salon(salon_id: int = MOSCOW, **fields: Any) -> Company:
    fields.setdefault("session", session_of())
    return make_active(salon_id, **fields)


def greet() -> None:
    """Do what the worker would do now."""
    for pk in welcome.due(limit=10):
        welcome.send(pk)


def welcomes() -> list[Message]:
    return list(Message.objects.filter(source="welcome").order_by("pk"))


def test_a_salon_is_welcomed_once_on_its_own_number() -> None:
    salon(title="Студия «Ножницы»", timezone_name="Europe/Moscow")
    greet()
    greet()
    [message] = welcomes()
    assert (message.phone, message.status) == (OWN, "queued")
    assert message.text.startswith("Здравствуйте! WhatsApp подключён к YClients: Студия «Ножницы».")
    assert welcome.due(limit=9) == []


def test_a_salon_abroad_is_welcomed_in_english() -> None:
    salon(phone="+4930901820", timezone_name="Europe/Berlin")
    greet()
    assert welcomes()[0].text.startswith("Hello!")


def test_support_words_go_before_ours() -> None:
    WelcomeText.objects.create(language="ru", text="Добро пожаловать, {salon}!")
    salon(title="Ножницы")
    greet()
    assert welcomes()[0].text == "Добро пожаловать, Ножницы!"


def test_branches_on_one_number_are_welcomed_together() -> None:
    shared = session_of()
    salon(MOSCOW, title="Центр", session=shared)
    salon(EKATERINBURG, title="Север", session=shared)
    greet()
    [message] = welcomes()
    assert "Центр, Север" in message.text
    assert Company.objects.filter(welcomed_at=None).count() == 0


def test_a_branch_that_comes_later_with_the_same_number_is_not_welcomed_again() -> None:
    salon(MOSCOW)
    greet()
    salon(EKATERINBURG)
    greet()
    assert len(welcomes()) == 1


def test_two_workers_welcome_once() -> None:
    shared = session_of()
    pks = [salon(MOSCOW, session=shared).pk, salon(EKATERINBURG, session=shared).pk]

    def in_thread(pk: int) -> bool:
        try:
            return welcome.send(pk)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(in_thread, pks * 3))
    assert len(welcomes()) == 1


def test_a_death_before_the_end_leaves_it_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    company = salon()

    def dies(**_given: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as dying:
        dying.setattr(message_queue, "queue_message", dies)
        with pytest.raises(KeyboardInterrupt):
            welcome.send(company.pk)
    assert welcome.due(limit=9) == [company.pk]
    greet()
    assert len(welcomes()) == 1


def test_a_reinstall_brings_no_second_welcome(yclients: LocalYClients) -> None:
    company = salon()
    greet()
    with transaction.atomic():
        lifecycle.uninstall(company, by="test")
    yclients.press_connect(MOSCOW)
    company = start_registration(salon_ids=[MOSCOW], user=ANDREY, signed=True).primary
    connect_phone(company)
    Company.objects.filter(pk=company.pk).update(
        status="active", activated_at=timezone.now(), api_key="k", api_key_digest="d"
    )
    greet()
    assert len(welcomes()) == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"activated_at": timezone.now() - timedelta(days=3)},
        {"activated_at": None},
        {"status": "activating"},
        {"status": "frozen"},
        {"session": None},
        {"welcomed_at": timezone.now()},
    ],
)
def test_these_are_not_welcomed(fields: dict[str, Any]) -> None:
    salon(ALMATY, **fields)
    assert welcome.due(limit=9) == []


def test_only_the_salons_name_can_be_filled_in() -> None:
    welcome.check_text("Привет, {salon}!")
    for bad in ("{name}", "{salon.title}", "{0}"):
        with pytest.raises(ValidationError):
            welcome.check_text(bad)


def test_every_language_of_the_product_has_words(settings: Any) -> None:
    assert set(welcome.DEFAULT_TEXTS) == {code for code, _name in LANGUAGES}
    for text in welcome.DEFAULT_TEXTS.values():
        welcome.check_text(text)
        assert welcome.PLACEHOLDER in text
