"""E-mails to a salon whose WhatsApp is disconnected: asked for, confirmed, one an outage, never lost."""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.utils import timezone

from config.shared import rate_limits
from marketplace.alerts import outages
from marketplace.models import Company, MarketplaceEvent, OutageAlert
from marketplace.salons import lifecycle
from tests.mail_server import MailServer, mail_server
from tests.onboarding.cabinet.owners import owned_salon, signed_in
from whatsapp.models import Session

pytestmark = pytest.mark.django_db(transaction=True)
ADDRESS = "anna@example.com"
SETTINGS = "/cabinet/307626/settings"
LONG_AGO = timedelta(hours=1)


@pytest.fixture
def mail(settings: Any) -> Iterator[MailServer]:
    rate_limits.forget()
    with mail_server() as server:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.port
        settings.EMAIL_USE_TLS = False
        yield server


@pytest.fixture
def salon(mail: MailServer) -> Company:
    """An active salon whose WhatsApp has been connected for an hour."""
    company = owned_salon(307626)
    whatsapp(status="connected", connected_at=timezone.now() - LONG_AGO)
    return company


@pytest.fixture
def owner(salon: Company) -> Client:
    return signed_in([salon])


def whatsapp(**fields: Any) -> None:
    Session.objects.update(**fields)


def work() -> None:
    for alert_id in outages.due(limit=9):
        outages.send(alert_id)


def give(owner: Client, email: str = ADDRESS) -> str:
    return owner.post(
        f"{SETTINGS}/email?lang=en", {"action": "give", "email": email}, follow=True
    ).content.decode()


def link_in(mail: MailServer, path: str) -> str:
    text = str(mail.sent[-1].get_content())
    found = re.search(rf"http\S+({path}\S+)", text)
    assert found, text
    return found[1]


@pytest.fixture
def confirmed(owner: Client, mail: MailServer) -> None:
    give(owner)
    work()
    assert Client().post(link_in(mail, "/cabinet/alerts/confirm")).status_code == 200
    mail.sent.clear()


def test_an_address_is_asked_first_and_only_a_post_agrees(owner: Client, mail: MailServer) -> None:
    assert "We have sent an e-mail" in give(owner)
    whatsapp(status="logged_out", jid="")
    work()
    work()
    assert [message["To"] for message in mail.sent] == [ADDRESS]
    assert "Confirm this address" in str(mail.sent[0]["Subject"])
    link = link_in(mail, "/cabinet/alerts/confirm")
    assert "Yes, write to me" in Client().get(f"{link}&lang=en").content.decode()
    work()
    assert len(mail.sent) == 1
    assert "Done" in Client().post(f"{link}&lang=en").content.decode()
    work()
    assert "is disconnected" in str(mail.sent[1]["Subject"])


@pytest.mark.usefixtures("confirmed")
def test_one_email_for_an_outage_and_one_for_its_end(mail: MailServer) -> None:
    whatsapp(status="reconnecting", last_seen_at=timezone.now())
    work()
    assert mail.sent == []  # such a line comes back by itself as a rule
    whatsapp(last_seen_at=timezone.now() - LONG_AGO)
    work()
    work()
    assert ["is disconnected" in str(message["Subject"]) for message in mail.sent] == [True]
    assert "/cabinet/307626/" in str(mail.sent[0].get_content())
    whatsapp(status="connected", connected_at=timezone.now())
    work()
    assert len(mail.sent) == 1  # not stable yet
    whatsapp(connected_at=timezone.now() - LONG_AGO)
    work()
    work()
    assert [str(message["Subject"]).endswith("is back") for message in mail.sent] == [False, True]


@pytest.mark.usefixtures("confirmed")
@pytest.mark.parametrize("answer", ["450 later", "550 no such user"])
def test_an_email_that_the_server_refuses_is_tried_again(mail: MailServer, answer: str) -> None:
    whatsapp(status="logged_out", jid="")
    mail.refuse = answer
    [alert_id] = outages.due(limit=9)
    with pytest.raises(OSError):
        outages.send(alert_id)
    assert outages.due(limit=9) == []  # it waits
    assert answer[:3] in OutageAlert.objects.get().last_error
    mail.refuse = ""
    OutageAlert.objects.update(next_at=timezone.now())
    work()
    assert len(mail.sent) == 1
    assert OutageAlert.objects.get().last_error == ""


@pytest.mark.usefixtures("confirmed")
def test_a_mail_program_may_unsubscribe_by_itself(mail: MailServer) -> None:
    whatsapp(status="logged_out", jid="")
    work()
    [message] = mail.sent
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    link = str(message["List-Unsubscribe"]).strip("<>").split("//", 1)[1]
    answer = Client(enforce_csrf_checks=True).post(
        f"/{link.split('/', 1)[1]}", {"List-Unsubscribe": "One-Click"}
    )
    assert answer.status_code == 200
    assert not OutageAlert.objects.exists()


@pytest.mark.usefixtures("confirmed")
def test_a_frozen_salon_gets_none_and_an_uninstalled_one_is_forgotten(
    salon: Company, mail: MailServer
) -> None:
    Company.objects.update(status="frozen")
    whatsapp(status="logged_out", jid="")
    work()
    assert mail.sent == []
    with transaction.atomic():
        lifecycle.uninstall(Company.objects.get(), by="test")
    assert not OutageAlert.objects.exists()


@pytest.mark.usefixtures("confirmed")
def test_who_unlinks_the_phone_himself_is_not_written_to(owner: Client, mail: MailServer) -> None:
    owner.post(f"{SETTINGS}/unlink")
    work()
    whatsapp(status="logged_out", jid="", wanted="stopped")  # what the pool makes of it
    work()
    assert mail.sent == []
    whatsapp(status="connected", jid="79990001122:2@s.whatsapp.net", wanted="linked")
    whatsapp(connected_at=timezone.now() + timedelta(seconds=1))  # linked anew
    work()
    whatsapp(status="logged_out", jid="")
    work()
    assert ["is disconnected" in str(message["Subject"]) for message in mail.sent] == [True]


@pytest.mark.usefixtures("confirmed")
def test_a_branch_of_another_owner_on_the_number_is_written_to(salon: Company, mail: MailServer) -> None:
    other = owned_salon(412870, owner="2", session=salon.session)
    signed_in([other]).post("/cabinet/412870/settings/unlink")
    whatsapp(status="logged_out", jid="", wanted="stopped")
    work()
    assert len(mail.sent) == 1


def test_links_are_worth_nothing_forged_old_or_for_an_address_that_was_changed(
    owner: Client, mail: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    give(owner)
    work()
    link = link_in(mail, "/cabinet/alerts/confirm")
    stop = link_in(mail, "/cabinet/alerts/stop")
    for forged in (link[:-1] + "x", link.replace("confirm", "stop"), "/cabinet/alerts/confirm", stop + "x"):
        assert Client().post(forged).status_code == 403
    monkeypatch.setattr(outages, "CONFIRMATION_LASTS", timedelta(seconds=-1))
    assert Client().post(link).status_code == 403
    monkeypatch.undo()
    owner.post(f"{SETTINGS}/email", {"action": "remove"})
    give(owner, "boris@example.com")
    assert Client().post(link).status_code == 403
    assert OutageAlert.objects.get().confirmed_at is None


def test_an_owner_cannot_have_strangers_written_to_all_day(owner: Client, mail: MailServer) -> None:
    for number in range(7):
        give(owner, f"stranger{number}@example.com")
        work()
    assert len(mail.sent) == 5


@pytest.mark.parametrize("email", ["", "anna", "a@b\r\nBcc: c@example.com", f"{'a' * 250}@example.com"])
def test_what_is_no_address_is_refused(owner: Client, email: str) -> None:
    assert 'data-tone="bad"' in give(owner, email)
    assert not OutageAlert.objects.exists()


def test_without_a_mail_server_nobody_can_ask(owner: Client, settings: Any) -> None:
    settings.EMAIL_HOST = ""
    assert 'name="email"' not in owner.get(SETTINGS).content.decode()
    give(owner)
    assert not OutageAlert.objects.exists()


def test_support_sees_what_was_changed(owner: Client, mail: MailServer) -> None:
    give(owner)
    work()
    Client().post(link_in(mail, "/cabinet/alerts/confirm"))
    owner.post(f"{SETTINGS}/email", {"action": "remove"})
    events = MarketplaceEvent.objects.filter(event_type="outage_email_changed").order_by("pk")
    assert [event.event_data["what"] for event in events] == ["given", "confirmed", "removed"]
    assert ADDRESS not in str([event.event_data for event in events])
