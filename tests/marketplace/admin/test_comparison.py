"""What support staff see of troubles, of the channel at YClients and of differences, and what they can do."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from django.utils.translation import override

from config.support_group import make_support_group
from marketplace.admin.diagnosis import explain
from marketplace.models import Channel, Company, CompanyCheck, Discrepancy
from tests.marketplace.salons_data import MOSCOW, make_active
from whatsapp.models import Session, Trouble
from whatsapp.sessions.troubles import ADVICE

pytestmark = pytest.mark.django_db


@pytest.fixture
def moscow() -> Company:
    return make_active(title="Линия")


@pytest.fixture
def support() -> Client:
    user = User.objects.create_user("anna", password="x", is_staff=True)
    user.groups.add(make_support_group())
    client = Client(headers={"Accept-Language": "ru"})
    client.force_login(user)
    return client


def page(support: Client, path: str) -> str:
    answer = support.get(f"/admin/{path}/")
    assert answer.status_code == 200
    return str(answer.content.decode())


def operate(support: Client, path: str, key: Any) -> str:
    answer = support.post(f"/admin/{path}/", {"id": str(key), "reason": "test"}, follow=True)
    return str(answer.content.decode())


@pytest.mark.parametrize("trouble", Trouble.values)
def test_every_trouble_has_words_and_advice(moscow: Company, support: Client, trouble: str) -> None:
    Session.objects.update(trouble=trouble)
    shown = page(support, f"whatsapp/session/{moscow.session_id}/change")
    assert str(Trouble(trouble).label) != ""
    assert ADVICE[trouble]
    assert any("а" <= letter <= "я" for letter in shown)
    assert "Неполадка" in shown or "неполадка" in shown


def test_a_banned_session_is_not_restarted(moscow: Company, support: Client) -> None:
    Session.objects.update(status="banned", banned_until=timezone.now() + timedelta(hours=1))
    said = operate(support, "whatsapp/session/operate/restart", moscow.session_id)
    assert "удлинится" in said
    assert Session.objects.get().restart_requested_at is None


def test_support_pauses_a_salons_sending_and_lets_it_go_on(moscow: Company, support: Client) -> None:
    Session.objects.update(status="connected", jid="79990000900:1@s.whatsapp.net")
    operate(support, "marketplace/company/operate/hold-sending", moscow.pk)
    assert Session.objects.get().sending_paused
    with override("ru"):
        found = explain(Company.objects.get(), pool_running=True)
    assert (found.tone, found.text) == ("waiting", "Поддержка приостановила отправку.")
    assert "уже приостановила" in operate(support, "marketplace/company/operate/hold-sending", moscow.pk)
    operate(support, "marketplace/company/operate/release-sending", moscow.pk)
    assert not Session.objects.get().sending_paused
    assert "не приостанавливала" in operate(support, "marketplace/company/operate/release-sending", moscow.pk)


def test_the_salons_page_says_what_yclients_believes(moscow: Company, support: Client) -> None:
    path = f"marketplace/company/{moscow.pk}/change"
    assert "доступен с активации" in page(support, path)
    Channel.objects.create(
        company=moscow, told=False, state="refused", last_error="refused 404: no such salon"
    )
    shown = page(support, path)
    assert "недоступен: YClients отказал" in shown
    assert "no such salon" in shown


def test_yclients_is_told_again(moscow: Company, support: Client) -> None:
    assert "Сообщать было нечего" in operate(support, "marketplace/company/operate/report-channel", moscow.pk)
    Channel.objects.create(company=moscow, told=False, state="refused", next_at=timezone.now())
    operate(support, "marketplace/company/operate/report-channel", moscow.pk)
    row = Channel.objects.get()
    assert (row.state, row.told) == ("due", None)
    assert row.next_at is not None
    assert row.next_at <= timezone.now()


def test_a_comparison_is_asked_for(moscow: Company, support: Client) -> None:
    operate(support, "marketplace/company/operate/compare", moscow.pk)
    assert CompanyCheck.objects.get().next_at <= timezone.now()
    Company.objects.update(status="uninstalled", api_key="", api_key_digest=None)
    assert "Сверяются только" in operate(support, "marketplace/company/operate/compare", moscow.pk)


def test_open_differences_are_listed(moscow: Company, support: Client) -> None:
    now = timezone.now()
    made = {"first_seen_at": now, "last_seen_at": now}
    Discrepancy.objects.create(
        salon_id=MOSCOW, company=moscow, kind="pending_there", here="active", there="pending", **made
    )
    Discrepancy.objects.create(salon_id=5, kind="unknown_here", title="Ноготки", there="active", **made)
    Discrepancy.objects.create(
        salon_id=6, kind="unknown_here", title="Прошлое", there="active", resolved_at=now, **made
    )
    shown = page(support, "marketplace/discrepancy")
    assert "Ноготки" in shown
    assert "Прошлое" not in shown
    assert "Прошлое" in support.get("/admin/marketplace/discrepancy/?state=all").content.decode()
    assert "YClients ждёт активации" in page(support, f"marketplace/company/{moscow.pk}/change")
    row = Discrepancy.objects.get(salon_id=5)
    assert "Ноготки" in page(support, f"marketplace/discrepancy/{row.pk}/change")
