"""YClients is notified of each payment once, whatever goes wrong, and of each refund."""

import json
from datetime import timedelta
from decimal import Decimal
from io import StringIO
from threading import Thread
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from marketplace.billing import notifying, payments
from marketplace.models import Company, MarketplaceEvent, Payment
from marketplace.salons import lifecycle
from marketplace.sync import reconciliation
from marketplace.yclients.billing import BillingApi, PaymentDetails
from tests.marketplace.local_yclients import LocalYClients
from tests.marketplace.salons_data import ALMATY, MOSCOW, make_active
from tests.marketplace.webhook_posts import events, lifecycle_body, post

pytestmark = pytest.mark.django_db(transaction=True)
JULY = PaymentDetails(
    Decimal("990.50"), "RUB", "2025-07-13 12:00:00", "2025-07-13 00:00:00", "2025-08-13 00:00:00"
)
AUGUST = PaymentDetails(
    Decimal("990.50"), "RUB", "2025-08-13 12:00:00", "2025-08-13 00:00:00", "2025-09-13 00:00:00"
)


@pytest.fixture
def moscow(yclients: LocalYClients) -> Company:
    """Moscow, active here and at YClients."""
    install(yclients)
    return make_active()


def install(yclients: LocalYClients, salon_id: int = MOSCOW) -> None:
    yclients.press_connect(salon_id)
    yclients.do(
        lambda there: there.marketplace.activate(
            salon_id=salon_id, api_key="k", webhook_urls=[], channels=["whatsapp"]
        )
    )


def paid(company: Company, details: PaymentDetails = JULY, key: str = "") -> Payment:
    return payments.request_payment(company=company, details=details, by="test", idempotency_key=key)[0]


def work() -> None:
    """What a worker does with all that is due now or later; half a minute passes before."""
    for row in Payment.objects.filter(state__in=Payment.OPEN):
        called_at = row.called_at - notifying.SETTLED_AFTER if row.called_at else None
        Payment.objects.filter(pk=row.pk).update(
            next_attempt_at=timezone.now(), claimed_until=None, called_at=called_at
        )
    for payment_id in notifying.QUEUE.due(limit=99):
        notifying.work(payment_id)


def there(yclients: LocalYClients, salon_id: int = MOSCOW) -> list[tuple[int, float, bool]]:
    """The payments as YClients has them."""
    listed = yclients.installation(salon_id).payments
    return [(payment.id, payment.payment_sum, payment.is_refunded) for payment in listed]


def test_a_payment_is_notified_with_its_number_and_an_event(moscow: Company, yclients: LocalYClients) -> None:
    row = paid(moscow)
    work()
    row.refresh_from_db()
    assert row.state == "notified"
    assert there(yclients) == [(row.yclients_id, 990.5, False)]
    event = MarketplaceEvent.objects.get(event_type="payment_notified")
    assert event.event_data["sum"] == "990.50 RUB"


def test_the_same_payment_asked_for_twice_is_one(moscow: Company, yclients: LocalYClients) -> None:
    first = paid(moscow)
    work()
    assert paid(moscow).pk == first.pk
    work()
    assert len(there(yclients)) == 1


def test_a_key_stands_for_one_payment_only(moscow: Company) -> None:
    row = paid(moscow, key="invoice-7")
    assert paid(moscow, key="invoice-7").pk == row.pk
    with pytest.raises(payments.KeyTaken):
        paid(moscow, AUGUST, key="invoice-7")


@pytest.mark.parametrize("fault", ["drop_after", "slow_answer"])
def test_a_lost_answer_is_settled_by_asking_and_nothing_is_repeated(
    moscow: Company, yclients: LocalYClients, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setattr("marketplace.yclients.http.READ_TIMEOUT", 0.5)
    row = paid(moscow)
    yclients.fault(fault, endpoint="payment", seconds=1.0)
    work()
    row.refresh_from_db()
    assert (row.state, row.yclients_id) == ("calling", None)
    work()
    row.refresh_from_db()
    assert row.state == "notified"
    assert there(yclients) == [(row.yclients_id, 990.5, False)]
    assert len(yclients.calls("payment")) == 1


@pytest.mark.parametrize("fault", ["500", "503", "drop_before"])
def test_a_call_that_had_no_effect_is_made_again(
    moscow: Company, yclients: LocalYClients, fault: str
) -> None:
    row = paid(moscow)
    yclients.fault(fault, endpoint="payment")
    work()
    work()
    row.refresh_from_db()
    assert row.state == "notified"
    assert there(yclients) == [(row.yclients_id, 990.5, False)]


def test_a_call_is_not_repeated_before_yclients_list_can_know_of_it(
    moscow: Company, yclients: LocalYClients
) -> None:
    row = paid(moscow)
    yclients.fault("500", endpoint="payment")
    notifying.work(row.pk)
    Payment.objects.update(next_attempt_at=timezone.now())
    notifying.work(row.pk)
    row.refresh_from_db()
    assert row.state == "calling"
    assert len(yclients.calls("payment")) == 1


def test_a_worker_killed_between_the_call_and_its_record_leaves_one_payment(
    moscow: Company, yclients: LocalYClients, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = paid(moscow)

    def killed(*_arguments: object, **_more: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as hook, pytest.raises(KeyboardInterrupt):
        hook.setattr(notifying, "_record_notified", killed)
        work()
    assert notifying.QUEUE.due(limit=9) == []
    work()
    row.refresh_from_db()
    assert row.state == "notified"
    assert there(yclients) == [(row.yclients_id, 990.5, False)]
    assert events("payment_notified") == 1


def test_two_equal_payments_with_lost_answers_stay_two(moscow: Company, yclients: LocalYClients) -> None:
    first, second = paid(moscow, key="a"), paid(moscow, key="b")
    yclients.fault("drop_after", endpoint="payment", times=2)
    work()
    work()
    for row in (first, second):
        row.refresh_from_db()
    assert sorted([first.yclients_id, second.yclients_id]) == [number for number, *_ in there(yclients)]  # type: ignore[type-var]
    assert len(there(yclients)) == 2


def test_an_equal_payment_that_was_there_before_is_not_taken_for_ours(
    moscow: Company, yclients: LocalYClients
) -> None:
    words = {name: getattr(JULY, name) for name in PaymentDetails.__slots__} | {"payment_sum": 990.5}
    yclients.do(lambda there: there.marketplace.pay(salon_id=MOSCOW, **words))
    row = paid(moscow)
    yclients.fault("500", endpoint="payment")
    work()
    work()
    row.refresh_from_db()
    assert [number for number, *_ in there(yclients)][1:] == [row.yclients_id]


def test_a_refused_payment_is_kept_and_can_be_tried_again(moscow: Company, yclients: LocalYClients) -> None:
    row = paid(moscow)
    yclients.fault("422", endpoint="payment")
    work()
    row.refresh_from_db()
    assert row.state == "refused"
    assert "валидации" in row.last_error
    assert events("payment_refused") == 1
    payments.request_retry(payment=row, by="test")
    work()
    row.refresh_from_db()
    assert (row.state, len(there(yclients))) == ("notified", 1)


def test_a_refund_is_notified_once(moscow: Company, yclients: LocalYClients) -> None:
    row = paid(moscow)
    work()
    row.refresh_from_db()
    payments.request_refund(payment=row, by="olga")
    work()
    row.refresh_from_db()
    assert (row.state, there(yclients)[0][2]) == ("refunded", True)
    assert MarketplaceEvent.objects.get(event_type="refund_notified").event_data["by"] == "olga"
    with pytest.raises(payments.NotRefundable):
        payments.request_refund(payment=row, by="olga")


@pytest.mark.parametrize("fault", ["500", "drop_after", "drop_before"])
def test_a_refund_with_a_lost_answer_is_settled_by_asking(
    moscow: Company, yclients: LocalYClients, fault: str
) -> None:
    row = paid(moscow)
    work()
    row.refresh_from_db()
    payments.request_refund(payment=row, by="olga")
    yclients.fault(fault, endpoint="refund")
    work()
    work()
    row.refresh_from_db()
    assert (row.state, there(yclients)[0][2]) == ("refunded", True)
    assert events("refund_notified") == 1


def test_a_refund_made_past_us_is_taken_as_made(moscow: Company, yclients: LocalYClients) -> None:
    row = paid(moscow)
    work()
    row.refresh_from_db()
    yclients.do(lambda there: there.marketplace.refund(row.yclients_id or 0))
    payments.request_refund(payment=row, by="olga")
    work()
    row.refresh_from_db()
    assert row.state == "refunded"


@pytest.mark.parametrize(
    "change",
    [
        {"payment_sum": Decimal("-1")},
        {"payment_sum": Decimal("1.001")},
        {"payment_sum": Decimal("NaN")},
        {"currency_iso": "rub"},
        {"payment_date": "2025-07-13T12:00:00"},
        {"period_to": "2025-07-01 00:00:00"},
    ],
)
def test_a_payment_that_makes_no_sense_is_refused_at_once(moscow: Company, change: dict[str, Any]) -> None:
    words = {name: getattr(JULY, name) for name in PaymentDetails.__slots__}
    with pytest.raises(payments.BadPayment):
        paid(moscow, PaymentDetails(**{**words, **change}))


def test_a_payment_of_a_frozen_salon_lets_it_be_compared_at_once(
    moscow: Company, yclients: LocalYClients
) -> None:
    yclients.change(MOSCOW, "freeze")
    lifecycle.freeze(moscow, by="test")
    assert reconciliation.due(limit=9) == []
    paid(moscow)
    work()
    (check,) = reconciliation.due(limit=9)
    reconciliation.check(check)
    moscow.refresh_from_db()
    assert moscow.status == "active"


def test_a_payment_webhook_of_an_active_salon_is_noted(moscow: Company) -> None:
    assert post(lifecycle_body("payment")).status_code == 200
    assert post(lifecycle_body("payment")).json()["status"] == "repeat"
    assert (events("payment_received"), events("unfrozen")) == (1, 0)


def test_the_next_months_payment_webhook_is_no_repeat(
    moscow: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    post(lifecycle_body("payment"))
    later = (timezone.now() + timedelta(days=30)).timestamp()
    monkeypatch.setattr("marketplace.webhooks.store.time.time", lambda: later)
    assert post(lifecycle_body("payment")).json()["status"] == "stored"
    assert events("payment_received") == 2


def command(name: str, *arguments: str) -> tuple[Any, int]:
    """The command's JSON and its exit code."""
    out = StringIO()
    try:
        call_command(name, *arguments, "--json", stdout=out)
    except CommandError as error:
        return json.loads(out.getvalue() or "null"), error.returncode
    return json.loads(out.getvalue()), 0


NOTIFY = ("notify", str(MOSCOW), "990.50", "--date", JULY.payment_date, "--from", JULY.period_from,
          "--to", JULY.period_to)  # fmt: skip


def test_the_command_notifies_lists_and_refunds(moscow: Company, yclients: LocalYClients) -> None:
    made, code = command("payments", *NOTIFY)
    assert (made["state"], code) == ("notified", 0)
    again, code = command("payments", *NOTIFY)
    assert (again["payment"], code) == (made["payment"], 0)
    refunded, code = command("payments", "refund", str(made["payment"]))
    assert (refunded["state"], code) == ("refunded", 0)
    listed, _code = command("payments", "list", "--salon", str(MOSCOW))
    assert [each["state"] for each in listed] == ["refunded"]
    assert len(there(yclients)) == 1


def test_the_command_waits_for_a_worker_that_was_faster(moscow: Company, yclients: LocalYClients) -> None:
    row = notifying.QUEUE.claim(paid(moscow).pk)
    assert row is not None

    def worker() -> None:
        yclients.fault("slow", endpoint="payment", seconds=0.5)
        with BillingApi() as api:
            notifying._notify(row, api)
        connection.close()

    thread = Thread(target=worker)
    thread.start()
    said, code = command("payments", *NOTIFY)
    thread.join(10)
    assert (said["state"], code) == ("notified", 0)


def test_the_commands_exit_code_tells_unfinished_from_refused(
    moscow: Company, yclients: LocalYClients
) -> None:
    yclients.fault("500", endpoint="payment")
    assert command("payments", *NOTIFY)[1] == 3
    yclients.fault("422", endpoint="payment")
    assert command("payments", *NOTIFY, "--key", "other")[1] == 4
    assert command("payments", "refund", "4242")[1] == 1
    assert command("payments", "notify", str(ALMATY), *NOTIFY[2:])[1] == 1


def test_the_command_gives_a_payment_link_while_there_are_tariffs(
    moscow: Company, yclients: LocalYClients
) -> None:
    said, code = command("payments", "link", str(MOSCOW), "--discount", "10")
    assert code == 0
    assert said["url"].endswith(f"/pay?salon_id={MOSCOW}&discount=10")
    yclients.do(lambda there: setattr(there.marketplace, "tariffs", []))
    assert command("payments", "link", str(MOSCOW)) == (None, 1)


def test_tariffs_discounts_and_names_of_senders(moscow: Company, yclients: LocalYClients) -> None:
    said, code = command("tariffs", "--discount", "15", "--short-names", "LINIYA", "--salon", str(MOSCOW))
    assert code == 0
    assert said["tariffs"][0]["options"][0]["overall_price"] == 990
    installed = yclients.installation(MOSCOW)
    assert (installed.discount, installed.short_names) == (15, ["LINIYA"])
    assert command("tariffs", "--discount", "15")[1] == 1
    yclients.fault("422", endpoint="tariffs")
    assert command("tariffs")[1] == 1
