"""Support's search box: why a salon is not connected, and what a client was sent, by one question."""

import html
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone

from config.support_group import make_support_group
from marketplace.admin.diagnosis import explain
from marketplace.models import Company, OptOut
from tests.onboarding.cabinet.owners import owned_salon
from whatsapp.models import Message, Pool, Session

pytestmark = pytest.mark.django_db(transaction=True)
SEARCH = "/admin/marketplace/company/search/"
IVAN = "79990000001"


@pytest.fixture
def salon() -> Company:
    Pool.objects.create(
        name="p", heartbeat_at=timezone.now(), started_at=timezone.now(), capacity=1, sessions=0, hosts=0
    )
    return owned_salon(307626, title="Лотос")


def staff(*permissions: str) -> Client:
    user = User.objects.create_user(f"user{User.objects.count()}", is_staff=True)
    if permissions:
        user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    else:
        user.groups.add(make_support_group())
    client = Client(headers={"Accept-Language": "ru"})
    client.force_login(user)
    return client


def found(client: Client, term: str) -> str:
    answer = client.get(SEARCH, {"q": term})
    assert answer.status_code == 200
    return str(answer.content.decode())


@pytest.mark.parametrize("term", ["Лото", "307626", "+7 999 000-11-22", "1122"])
def test_a_salon_is_found_with_why_it_is_not_connected(salon: Company, term: str) -> None:
    Session.objects.update(status="logged_out", trouble="logged_out", phone="79990001122")
    page = found(staff(), term)
    assert "Лотос (307626)" in page
    assert "Владелец открывает страницу" in page


def test_the_box_is_on_the_first_page_and_asks_nothing_without_a_term(salon: Company) -> None:
    client = staff()
    assert SEARCH in client.get("/admin/").content.decode()
    assert "Лотос (307626)" not in found(client, "  ")


def test_a_client_is_found_with_what_was_sent_and_why_not(salon: Company) -> None:
    assert salon.session is not None
    message = Message.objects.create(
        session=salon.session, phone=IVAN, source="reminder", status="failed", error_code="not_on_whatsapp",
        text="Ждём вас", external_id="a-1",
    )  # fmt: skip
    OptOut.objects.create(company=salon, phone=IVAN)
    client = staff()
    for term in ("8 (999) 000-00-01", f"#{message.pk}"):
        page = found(client, term)
        assert page.count(f"/admin/whatsapp/message/{message.pk}/change/") == 1
        assert "На этом номере нет WhatsApp" in page or "нет WhatsApp" in page
    assert "/admin/marketplace/optout/" in found(client, IVAN)
    assert IVAN not in found(client, "0001")


def test_nobody_sees_what_he_may_not_view(salon: Company) -> None:
    assert salon.session is not None
    Message.objects.create(session=salon.session, phone=IVAN, source="reminder", text="Ждём вас")
    page = found(staff("view_company"), IVAN)
    assert "Ждём вас" not in page
    page = found(staff("view_company"), "307626")
    assert "Лотос (307626)" in page
    assert "WhatsApp подключён, сообщения уходят" not in page
    assert "Лотос (307626)" not in found(staff("view_message"), "307626")


def test_a_phone_that_was_searched_for_is_masked_in_the_log(
    salon: Company, caplog: pytest.LogCaptureFixture
) -> None:
    found(staff(), "79990000001")
    assert "searched" in caplog.text
    assert IVAN not in caplog.text


@pytest.mark.parametrize("term", ["%", "'", "\x00", "9" * 500, "<script>", "²", "-"])
def test_hostile_terms_are_only_terms(salon: Company, term: str) -> None:
    assert "<script>" not in found(staff(), term).split("support-search", 1)[1].split("</form>")[0]


@pytest.mark.parametrize(
    ("columns", "session", "tone"),
    [
        ({}, {}, "good"),
        ({"status": "frozen"}, {}, "waiting"),
        ({"status": "uninstalled"}, {}, "off"),
        ({"status": "activation_failed"}, {}, "bad"),
        ({"disputed_at": timezone.now()}, {}, "bad"),
        ({"paused_at": timezone.now()}, {"sending_paused": True}, "waiting"),
        ({"session": None}, {}, "waiting"),
        ({}, {"wanted": "stopped"}, "waiting"),
        ({}, {"status": "reconnecting", "trouble": "network"}, "bad"),
        ({}, {"status": "qr", "jid": ""}, "busy"),
    ],
)
def test_each_state_of_a_salon_has_its_sentence(
    salon: Company, columns: dict[str, Any], session: dict[str, Any], tone: str
) -> None:
    for name, value in session.items():
        setattr(salon.session, name, value)
    for name, value in columns.items():
        setattr(salon, name, value)
    found = explain(salon, pool_running=True)
    assert found.tone == tone
    assert len(found.text) > 10


def test_a_missing_pool_is_said_first(salon: Company) -> None:
    found = explain(salon, pool_running=False)
    assert (found.tone, found.look_at) == ("bad", (Pool,))


def links_of(page: str) -> list[str]:
    """Where the buttons of what was found lead."""
    return re.findall(r'<a class="support-button[^"]*" href="([^"]+)"', page)


@pytest.mark.parametrize(
    ("columns", "session", "operation"),
    [
        ({"status": "activation_failed"}, {}, "/company/operate/retry-activation/?id={company}"),
        ({"status": "frozen"}, {}, "/company/operate/compare/?id={company}"),
        ({}, {"wanted": "stopped"}, "/session/operate/resume/?id={session}"),
        ({}, {"status": "conflict", "trouble": "replaced"}, "/session/operate/restart/?id={session}"),
        ({}, {"status": "failed", "trouble": "refused"}, "/session/operate/unlink/?id={session}"),
        ({"disputed_at": timezone.now()}, {}, "/accessrequest/?company__id__exact={company}"),
        ({}, {"status": "banned", "trouble": "banned"}, "/message/?session__id__exact={session}"),
    ],
)
def test_what_was_found_leads_straight_to_what_mends_it(
    salon: Company, columns: dict[str, Any], session: dict[str, Any], operation: str
) -> None:
    Company.objects.update(**columns)
    Session.objects.update(**session)
    client = staff()
    links = links_of(found(client, "307626"))
    assert any(operation.format(company=salon.pk, session=salon.session_id) in each for each in links), links
    for address in links:
        assert client.get(html.unescape(address)).status_code == 200  # the page that asks before it acts
    onlooker = staff("view_company", "view_session")
    assert [each for each in links_of(found(onlooker, "307626")) if "operate" in each] == []


def test_a_ban_is_found_with_its_end_by_the_salons_clock(salon: Company) -> None:
    until = datetime(2026, 12, 5, 21, 30, tzinfo=UTC)
    Session.objects.update(status="banned", trouble="banned", banned_until=until)
    assert "6 декабря 2026 00:30 (UTC+3)" in found(staff(), "307626")


def test_a_found_message_names_its_salon(salon: Company) -> None:
    assert salon.session is not None
    Message.objects.create(
        session=salon.session, phone=IVAN, source="reminder", status="read", wa_message_id="A", text="Ждём"
    )
    page = found(staff(), IVAN)
    assert all(word in page for word in ("напоминание", "прочитано", "Ждём"))
    assert f'<a href="/admin/marketplace/company/{salon.pk}/change/">Лотос (307626)</a>' in page
    assert "Лотос" not in found(staff("view_message"), IVAN)


@pytest.mark.parametrize(
    "address",
    ["/admin/", "/admin/whatsapp/message/", "/admin/marketplace/company/{salon}/change/",
     "/admin/marketplace/company/{salon}/billing/", "/admin/auth/user/", SEARCH, "/admin/password_change/"],
)  # fmt: skip
def test_the_box_is_in_the_header_of_every_page_once(salon: Company, address: str) -> None:
    User.objects.create_superuser("root")
    client = Client(headers={"Accept-Language": "ru"})
    client.force_login(User.objects.get(username="root"))
    page = client.get(address.format(salon=salon.pk)).content.decode()
    assert page.split("</header>")[0].count('id="support-q"') == 1
    assert page.count('id="support-q"') == 1
    assert 'alt="Search"' not in page


def test_who_has_not_signed_in_sees_no_box() -> None:
    assert "support-q" not in Client().get("/admin/login/").content.decode()
