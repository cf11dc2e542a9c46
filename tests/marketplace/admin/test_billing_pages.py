"""Support staff's pages for payments: a confirmation before, a trace after."""

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from config.support_group import make_support_group
from marketplace.models import Company, Discrepancy, Payment
from marketplace.sync import uninstalls
from tests.marketplace.admin.staff import signed_in, signed_in_onlooker
from tests.marketplace.local_yclients import LocalYClients
from tests.marketplace.salons_data import MOSCOW, make_active
from tests.marketplace.webhook_posts import lifecycle_body, post

pytestmark = pytest.mark.django_db(transaction=True)
ADD = "/admin/marketplace/payment/add/"
FORM = {
    "salon": MOSCOW,
    "payment_sum": "990.50",
    "currency_iso": "RUB",
    "payment_date": "2025-07-13 12:00:00",
    "period_from": "2025-07-13 00:00:00",
    "period_to": "2025-08-13 00:00:00",
    "key": "invoice-7",
}


@pytest.fixture
def moscow(yclients: LocalYClients) -> Company:
    """Moscow, active here and at YClients."""
    yclients.press_connect(MOSCOW)
    yclients.do(
        lambda there: there.marketplace.activate(
            salon_id=MOSCOW, api_key="k", webhook_urls=[], channels=["whatsapp"]
        )
    )
    return make_active(title="Ножницы")


@pytest.fixture
def support() -> Client:
    return signed_in("olga", make_support_group())


@pytest.fixture
def onlooker() -> Client:
    return signed_in_onlooker()


def test_a_payment_is_confirmed_before_it_is_queued_and_leaves_a_trace(
    support: Client, moscow: Company
) -> None:
    shown = support.post(ADD, FORM).content.decode()
    assert "Ножницы (307626): 990,50 RUB" in shown
    assert not Payment.objects.exists()
    assert support.post(ADD, {**FORM, "confirmed": "1"}).status_code == 302
    row = Payment.objects.get()
    assert (row.state, row.created_by, row.idempotency_key) == ("due", "support: olga", "invoice-7")
    assert LogEntry.objects.get().object_id == str(row.pk)


def test_the_same_invoice_is_queued_once_and_another_one_under_its_number_is_refused(
    support: Client, moscow: Company
) -> None:
    for _twice in range(2):
        support.post(ADD, {**FORM, "confirmed": "1"})
    other = support.post(ADD, {**FORM, "payment_sum": "1", "confirmed": "1"}).content.decode()
    assert "Этот номер принадлежит другой оплате." in other
    assert Payment.objects.count() == 1


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"salon": 5}, "Такого салона у нас нет."),
        ({"currency_iso": "rub"}, "Валюта — это три заглавные буквы."),
        ({"period_to": "2025-07-01 00:00:00"}, "Период кончается раньше, чем начинается."),
    ],
)
def test_a_payment_that_makes_no_sense_is_refused_in_words(
    support: Client, moscow: Company, change: dict[str, Any], sentence: str
) -> None:
    assert sentence in support.post(ADD, {**FORM, **change}).content.decode()


def test_a_refund_and_another_try_are_operations(support: Client, moscow: Company) -> None:
    support.post(ADD, {**FORM, "confirmed": "1"})
    row = Payment.objects.get()
    operate = "/admin/marketplace/payment/operate"
    said = support.post(f"{operate}/refund/", {"id": row.pk}, follow=True).content.decode()
    assert "YClients не уведомлён об этой оплате" in said
    Payment.objects.update(state="notified", yclients_id=7001)
    support.post(f"{operate}/refund/", {"id": row.pk, "reason": "вернули"})
    row.refresh_from_db()
    assert (row.state, row.refund_by) == ("refund_due", "support: olga: вернули")
    Payment.objects.update(state="refused")
    support.post(f"{operate}/retry/", {"id": row.pk})
    row.refresh_from_db()
    assert row.state == "due"


def test_lists_and_pages_of_payments_are_shown(support: Client, onlooker: Client, moscow: Company) -> None:
    support.post(ADD, {**FORM, "confirmed": "1"})
    for client in (support, onlooker):
        for path in ("", f"{Payment.objects.get().pk}/change/"):
            assert "990.50 RUB" in client.get(f"/admin/marketplace/payment/{path}").content.decode()


def test_who_may_only_look_changes_nothing(onlooker: Client, moscow: Company) -> None:
    assert onlooker.post(ADD, {**FORM, "confirmed": "1"}).status_code == 403
    assert onlooker.get("/admin/marketplace/payment/tariffs/").status_code == 403
    assert onlooker.get(f"/admin/marketplace/company/{moscow.pk}/billing/").status_code == 403
    assert onlooker.post("/admin/marketplace/company/operate/remove/", {"id": moscow.pk}).status_code == 403
    assert not Payment.objects.exists()


def test_tariffs_are_shown_or_why_not(support: Client, moscow: Company, yclients: LocalYClients) -> None:
    assert "12 месяцев: 9900 RUB" in support.get("/admin/marketplace/payment/tariffs/").content.decode()
    yclients.fault("422", endpoint="tariffs")
    assert "YClients не отвечает" in support.get("/admin/marketplace/payment/tariffs/").content.decode()


def test_a_payment_link_and_a_confirmed_discount(
    support: Client, moscow: Company, yclients: LocalYClients
) -> None:
    page = f"/admin/marketplace/company/{moscow.pk}/billing/"
    assert f"/pay?salon_id={MOSCOW}" in support.get(f"{page}?link=1").content.decode()
    assert "скидку 15 процентов" in support.post(page, {"percent": 15}).content.decode()
    assert yclients.installation(MOSCOW).discount == 0
    support.post(page, {"percent": 15, "confirmed": "1"})
    assert yclients.installation(MOSCOW).discount == 15
    assert "Скидка 15 процентов" in LogEntry.objects.get().change_message


def test_support_removes_the_application_from_a_salon(
    support: Client, moscow: Company, yclients: LocalYClients
) -> None:
    support.post("/admin/marketplace/company/operate/remove/", {"id": moscow.pk, "reason": "не платит"})
    for request_id in uninstalls.REQUESTS.due(limit=9):
        uninstalls.check(request_id)
    moscow.refresh_from_db()
    assert moscow.status == "uninstalled"
    again = support.post("/admin/marketplace/company/operate/remove/", {"id": moscow.pk}, follow=True)
    assert "Салон уже удалил приложение." in again.content.decode()


def test_a_denied_uninstall_is_shown_and_closed(support: Client, moscow: Company) -> None:
    post(lifecycle_body("uninstall"))
    for request_id in uninstalls.REQUESTS.due(limit=9):
        uninstalls.check(request_id)
    row = Discrepancy.objects.get()
    shown = support.get("/admin/marketplace/discrepancy/").content.decode()
    assert "пришло удаление, которого YClients не подтверждает" in shown
    support.post("/admin/marketplace/discrepancy/operate/close/", {"id": row.pk})
    row.refresh_from_db()
    assert row.resolved_at is not None
