"""The pages on which support staff set, preview and try a salon's messages, and look at its bookings."""

import re
from datetime import time
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client

from config.support_group import make_support_group
from marketplace.bookings import settings_changes, texts, wording
from marketplace.models import BookingSettings, Company, MessageTemplate
from tests.marketplace.bookings.salon import IVAN, in_days, kinds, open_salon, receive, the_record
from tests.marketplace.salons_data import make_active
from whatsapp.models import Message, Session

pytestmark = pytest.mark.django_db

LIST = "/admin/marketplace/recordstate/"


@pytest.fixture
def support() -> Client:
    user = User.objects.create_user("anna", is_staff=True)
    user.groups.add(make_support_group())
    client = Client()
    client.force_login(user)
    return client


def page(company: Company, more: str = "") -> str:
    return f"/admin/marketplace/company/{company.pk}/bookings/{more}"


def posted(company: Company, **changes: Any) -> dict[str, Any]:
    """The form as a browser sends it, with changes; None leaves a field out."""
    said: dict[str, Any] = {"hours": "24", "quiet_from": "21:00", "quiet_until": "09:00", "language": "ru"}
    said["version"] = settings_changes.version(wording.settings_of(company))
    said |= {f"text_{kind}": text.replace("\n", "\r\n") for kind, text in texts.DEFAULTS["ru"].items()}
    return {name: value for name, value in {**said, **changes}.items() if value is not None}


def test_the_salons_page_leads_to_its_booking_messages_and_its_bookings(support: Client) -> None:
    company = make_active()
    html = support.get(f"/admin/marketplace/company/{company.pk}/change/").content.decode()
    assert page(company) in html
    assert f"{LIST}?company__id__exact={company.pk}" in html


def test_what_is_switched_on_is_kept_and_plans_reminders(support: Client) -> None:
    company = make_active(timezone_name="Europe/Moscow")
    receive("create", 1)
    answer = support.post(page(company), posted(company, created_on="on", reminder_on="on"), follow=True)
    assert "Запланировано напоминаний: 1" in answer.content.decode()
    settings = BookingSettings.objects.get()
    assert (settings.created_on, settings.moved_on, settings.reminder_on) == (True, False, True)
    assert the_record().reminder_at == in_days(2)
    assert MessageTemplate.objects.count() == 0
    assert LogEntry.objects.get().object_id == str(company.pk)


def test_own_words_are_kept_and_default_ones_follow_the_language(support: Client) -> None:
    company = open_salon()
    own = "Ждём вас {date}!\r\n{staff}"
    support.post(page(company), posted(company, created_on="on", language="en", text_created=own))
    template = MessageTemplate.objects.get()
    assert (template.kind, template.text) == ("created", "Ждём вас {date}!\n{staff}")
    html = support.get(page(company)).content.decode()
    assert "Your booking at {salon} has changed." in html
    support.post(page(company), posted(company, created_on="on", text_created=""))
    template.refresh_from_db()
    assert (template.text, template.previous_text) == ("", "Ждём вас {date}!\n{staff}")


def test_a_preview_shows_the_words_filled_in_and_keeps_nothing(support: Client) -> None:
    company = open_salon()
    body = posted(company, preview="1", text_created="Ура, {client}! {salon}, {services}")
    html = support.post(page(company), body).content.decode()
    assert "Ура, Иван! Лотос, Стрижка, Укладка" in html
    assert "пока ничего не сохранено" in html
    assert MessageTemplate.objects.count() == 0
    assert BookingSettings.objects.get().created_on


@pytest.mark.parametrize("text", ["{master}", "{client.pk}", "{", "{client!r}"])
def test_words_that_cannot_be_filled_in_are_refused_in_words(support: Client, text: str) -> None:
    company = open_salon()
    answer = support.post(page(company), posted(company, text_created=text))
    assert answer.status_code == 200
    assert "errorlist" in answer.content.decode()
    assert MessageTemplate.objects.count() == 0


@pytest.mark.parametrize("hours", [0, 169, "x", "1 2 3 4 5 6"])
def test_senseless_hours_are_refused(support: Client, hours: Any) -> None:
    company = open_salon()
    assert support.post(page(company), posted(company, hours=hours)).status_code == 200
    assert BookingSettings.objects.get().reminder_hours == 24


def test_support_sets_further_reminders_and_quiet_hours_as_the_cabinet_does(support: Client) -> None:
    company = open_salon()
    support.post(page(company), posted(company, hours="2; 48 24", quiet_from="20:30", quiet_until="10:00"))
    settings = BookingSettings.objects.get()
    assert settings.all_reminder_hours == [48, 24, 2]
    assert (settings.quiet_from, settings.quiet_until) == (time(20, 30), time(10))
    shown = support.get(page(company)).content.decode()
    assert 'value="48, 24, 2"' in shown
    assert 'value="20:30"' in shown
    assert support.post(page(company), posted(company, quiet_from="25:00")).status_code == 200
    assert BookingSettings.objects.get().quiet_from == time(20, 30)


def test_what_the_owner_changed_meanwhile_is_not_overwritten_unseen(support: Client) -> None:
    company = open_salon()
    form = posted(company, text_created="Ours {date}", hours="3")
    MessageTemplate.objects.create(company=company, kind="created", text="The owner's {date}")
    shown = support.post(page(company), form)
    assert (shown.status_code, "Ours {date}" in shown.content.decode()) == (200, True)
    assert MessageTemplate.objects.get().text == "The owner's {date}"
    assert BookingSettings.objects.get().reminder_hours == 24
    version = re.search(r'name="version" value="([0-9a-f]+)"', shown.content.decode())
    assert version
    support.post(page(company), {**form, "version": version[1]})
    assert MessageTemplate.objects.get().text == "Ours {date}"
    assert BookingSettings.objects.get().reminder_hours == 3


def test_a_test_goes_to_the_given_phone_once_however_often_the_form_is_sent(support: Client) -> None:
    company = open_salon()
    form = support.get(page(company, "test/")).context["form"]
    body = {"kind": "reminder", "phone": "8 (999) 000-00-00", "name": str(form["name"].value())}
    for _time in range(2):
        answer = support.post(page(company, "test/"), body, follow=True)
    assert IVAN not in answer.content.decode()
    message = Message.objects.get()
    assert (message.source, message.phone) == ("test", IVAN)
    assert "Напоминаем о визите в «Лотос»" in message.text
    assert kinds() == ["reminder"]


def test_a_test_needs_a_phone_and_a_salon_that_can_send(support: Client) -> None:
    company = open_salon()
    name = str(support.get(page(company, "test/")).context["form"]["name"].value())
    assert support.post(page(company, "test/"), {"kind": "created", "phone": "x", "name": name}).context
    Session.objects.update(jid="", status="logged_out", wanted="stopped")
    answer = support.post(
        page(company, "test/"), {"kind": "created", "phone": IVAN, "name": name}, follow=True
    )
    assert "не может отправлять" in answer.content.decode()
    assert Message.objects.count() == 0


def test_the_pages_are_only_for_who_may_act() -> None:
    company = open_salon()
    user = User.objects.create_user("rita", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    reader = Client()
    reader.force_login(user)
    for more in ("", "test/"):
        assert reader.get(page(company, more)).status_code == 403
        assert reader.post(page(company, more), {}).status_code == 403
        assert Client().get(page(company, more)).status_code == 302


def test_bookings_are_listed_with_masked_phones_and_found_by_them(support: Client) -> None:
    open_salon()
    receive("create", 1)
    receive("update", 2, deleted=True, id=7)
    html = support.get(LIST).content.decode()
    assert IVAN not in html
    assert "596792980" in html
    found = support.get(LIST, {"q": "+7 (999) 000"}).content.decode()
    assert "596792980" in found
    assert "596792980" not in support.get(LIST, {"q": "+7 (916) 000"}).content.decode()


def test_a_bookings_page_says_what_the_client_knows(support: Client) -> None:
    open_salon()
    receive("update", 1)
    html = support.get(f"{LIST}{the_record().pk}/change/").content.decode()
    assert "12:10" in html
    assert "Анна" in html
    assert f"{IVAN}: " in html
    assert "предполагается" in html
    receive("update", 2, start=in_days(4))
    html = support.get(f"{LIST}{the_record().pk}/change/").content.decode()
    assert f"запись изменена, {IVAN}" in html
    assert f"/admin/whatsapp/message/{Message.objects.get().pk}/change/" in html
