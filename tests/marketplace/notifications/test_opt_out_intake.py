"""Advertising that YClients sends to clients who opted out: taken, ended at once, reported as rejected."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from marketplace.inbound import opt_outs
from marketplace.models import Company
from marketplace.notifications import callbacks
from marketplace.yclients import rate_limit
from tests import ingest_client
from tests.marketplace.clients import IVAN, OLGA, work, writes
from tests.marketplace.listener import Listener
from tests.marketplace.salons_data import EKATERINBURG, MOSCOW, make_active
from whatsapp.models import Message

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def moscow() -> Company:
    return make_active(MOSCOW)


def post(*targets: tuple[str, str], dispatch_type: str = "adds", callback: str = "") -> list[dict[str, Any]]:
    """YClients sends to these (id, phone); return its answer's rows."""
    body = {
        "destination_params": [{"id": own_id, "phone": phone} for own_id, phone in targets],
        "text": "Скидка 20 %",
        "dispatch_type": dispatch_type,
        "delivery_callback_url": callback,
    }
    response = ingest_client.post(
        "/yclients/messages/", body, headers={"Authorization": f"Bearer api_key-of-{MOSCOW}"}
    )
    assert response.status_code == 200
    rows: list[dict[str, Any]] = response.json()
    return rows


def standing(phone: str) -> tuple[str, str]:
    message = Message.objects.get(source="operator", phone=phone)
    return message.status, message.error_code


def test_advertising_is_ended_for_who_opted_out_and_goes_to_the_others(moscow: Company) -> None:
    writes(moscow, "стоп")
    work()
    first = post(("n1", IVAN), ("n2", OLGA))
    assert all("ext_id" in row for row in first)
    assert standing(IVAN) == ("failed", "opted_out")
    assert standing(OLGA) == ("queued", "")
    assert post(("n1", IVAN)) == first[:1]


def test_service_notifications_still_go_out(moscow: Company) -> None:
    writes(moscow, "стоп")
    work()
    post(("n1", IVAN), dispatch_type="service")
    assert standing(IVAN) == ("queued", "")


def test_an_opt_out_from_another_salon_of_the_same_number_counts(moscow: Company) -> None:
    branch = make_active(EKATERINBURG, session=moscow.session)
    opt_outs.opt_out(company_ids=[branch.pk], phone=IVAN)
    post(("n1", IVAN))
    assert standing(IVAN) == ("failed", "opted_out")


def test_yclients_is_told_that_it_was_rejected(
    moscow: Company, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_limit, "SPACING", timedelta(milliseconds=1))
    there = Listener()
    settings.YCLIENTS_API_URL = there.url
    writes(moscow, "стоп")
    work()
    post(("n1", IVAN), callback=f"{there.url}/back")
    callbacks.deliver()
    there.close()
    [(_path, _headers, body)] = there.got
    assert [(row["id"], row["status"]) for row in json.loads(body)] == [("n1", 8), ("n1", 16)]


def test_no_advertising_slips_past_an_opt_out_of_the_same_moment(moscow: Company) -> None:
    def in_thread(number: int) -> None:
        try:
            if number == 4:
                opt_outs.opt_out(company_ids=[moscow.pk], phone=IVAN)
            else:
                post((f"n{number}", IVAN))
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(in_thread, range(9)))
    ended = Message.objects.filter(status="failed", error_code="opted_out").count()
    assert ended == Message.objects.filter(category="adds").count() == 8
