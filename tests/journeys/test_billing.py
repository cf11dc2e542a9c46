"""A salon pays by an invoice: YClients hears of it once, although the worker is killed in the middle."""

import json

from playwright.sync_api import Page

from tests.deployments import Deployment
from tests.journeys.steps import (
    Salon,
    add_salon,
    company_status,
    press_connect,
    scan_until_linked,
    wait_until_active,
)
from tests.processes import wait_until

INVOICE = (
    "990",
    "--date",
    "2025-07-13 12:00:00",
    "--from",
    "2025-07-13 00:00:00",
    "--to",
    "2025-08-13 00:00:00",
)
QUEUE_PAYMENT = """
from decimal import Decimal
from marketplace.billing.payments import request_payment
from marketplace.models import Company
from marketplace.yclients.billing import PaymentDetails
details = PaymentDetails(
    Decimal("990"), "RUB", "2025-07-13 12:00:00", "2025-07-13 00:00:00", "2025-08-13 00:00:00"
)
request_payment(company=Company.objects.get(salon_id={salon_id}), details=details, by="test")
"""


def payments_there(system: Deployment, salon: Salon) -> list[int]:
    """The numbers of the salon's payments at YClients."""
    return [payment["id"] for payment in system.yclients.salon(salon.id)["installation"]["payments"]]


def state(system: Deployment) -> str:
    rows = system.query("SELECT state FROM marketplace_payment")
    return str(rows[0][0]) if rows else ""


def test_a_payment_is_told_once_though_the_worker_is_killed_and_is_given_back(
    system: Deployment, desktop_page: Page
) -> None:
    salon = add_salon(system)
    press_connect(desktop_page, system, salon)
    scan_until_linked(desktop_page, system, salon)
    wait_until_active(system, salon)

    system.yclients.fault("slow_answer", endpoint="payment", seconds=30)
    system.shell(QUEUE_PAYMENT.format(salon_id=salon.id))
    wait_until(lambda: len(payments_there(system, salon)) == 1, "YClients has the payment")
    system.kill("worker")
    assert state(system) == "calling"
    system.query("UPDATE marketplace_payment SET claimed_until = now() RETURNING id")  # the claim runs out
    system.start("worker")
    wait_until(lambda: state(system) == "notified", "the payment is settled")

    again = json.loads(system.manage("payments", "notify", str(salon.id), *INVOICE, "--json"))
    assert (again["state"], [again["yclients_id"]]) == ("notified", payments_there(system, salon))
    refunded = json.loads(system.manage("payments", "refund", str(again["payment"]), "--json"))
    assert refunded["state"] == "refunded"
    (payment,) = system.yclients.salon(salon.id)["installation"]["payments"]
    assert payment["is_refunded"]

    system.manage("uninstall_salon", str(salon.id))
    assert company_status(system, salon) == "uninstalled"
    assert system.yclients.salon(salon.id)["status"] == "uninstalled"
    wait_until(lambda: system.whatsapp.phone(salon.phone)["linked_devices"] == 0, "the device is gone")
