"""The webhook addresses: only YClients is accepted, and an unreadable body is refused with reasons."""

import asyncio
from typing import Any

import pytest
from prometheus_client import REGISTRY

from marketplace.models import Company, InboundWebhook
from tests.ingest_client import ask
from tests.marketplace.salons_data import ALMATY, MOSCOW, make_active
from tests.marketplace.webhook_posts import MOSCOW_WEBHOOK_URL, WEBHOOK_URL, lifecycle_body, post
from tests.payloads import load

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(
    "changes",
    [
        {"partner_token": "forged"},
        {"partner_token": None},
        {"partner_token": 5},
        {"partner_token": ["test-partner-token-6f1c0a"]},
        {"partner_token": ""},
        {"partner_token": "\ud800"},
        {"application_id": 4243},
    ],
)
def test_a_forged_lifecycle_event_changes_nothing_and_is_counted(changes: dict[str, Any]) -> None:
    make_active()
    labels = {"kind": "lifecycle", "outcome": "refused"}
    before = REGISTRY.get_sample_value("marketplace_webhooks_total", labels) or 0
    for url in (WEBHOOK_URL, MOSCOW_WEBHOOK_URL):
        assert post(lifecycle_body("uninstall", **changes), url).status_code == 403
    assert REGISTRY.get_sample_value("marketplace_webhooks_total", labels) == before + 2
    assert Company.objects.get().status == "active"
    assert not InboundWebhook.objects.exists()


def test_without_a_partner_token_of_ours_nobody_is_believed(settings: Any) -> None:
    settings.YCLIENTS_PARTNER_TOKEN = ""
    assert post(lifecycle_body("uninstall", partner_token="")).status_code == 403


def test_an_application_id_may_be_text_and_the_event_be_named_event_type() -> None:
    make_active()
    body = lifecycle_body("uninstall", application_id="4242", salon_id=str(MOSCOW), event_type="freeze")
    del body["event"]
    assert post(body).status_code == 200
    assert Company.objects.get().status == "frozen"


def test_an_entity_event_needs_the_salons_own_address() -> None:
    make_active()
    make_active(ALMATY)
    for url in (WEBHOOK_URL, f"{WEBHOOK_URL}/guessed", f"{WEBHOOK_URL}/webhook_secret-of-{ALMATY}"):
        assert post(load("record_update"), url).status_code == 403
    assert not InboundWebhook.objects.exists()


def test_a_lifecycle_event_on_another_salons_address_is_refused() -> None:
    make_active()
    make_active(ALMATY)
    url = f"{WEBHOOK_URL}/webhook_secret-of-{ALMATY}"
    assert post(lifecycle_body("uninstall"), url).status_code == 403
    assert Company.objects.get(salon_id=MOSCOW).status == "active"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_probe_is_answered(method: str) -> None:
    for url in (WEBHOOK_URL, f"{WEBHOOK_URL}/anything"):
        assert asyncio.run(ask(url, method=method)).status_code == 200
    assert asyncio.run(ask(WEBHOOK_URL, method="PUT")).status_code == 405


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"   ",
        b"not json",
        b"[]",
        b'"text"',
        b"null",
        b"{}",
        b'{"event": NaN}',
        b'{"event": 1e999}',
        b"\xff\xfe{}",
        b"salon_id=1&event=uninstall",
        b'{"event":"x","a":' + b"9" * 5000 + b"}",
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
        b'{"a":' * 100 + b"1" + b"}" * 100,
    ],
)
def test_what_cannot_be_read_gets_400(raw: bytes) -> None:
    answer = post(raw)
    assert answer.status_code == 400
    assert answer.json()["error"]


@pytest.mark.parametrize(
    "changes",
    [
        {"salon_id": None},
        {"salon_id": 0},
        {"salon_id": 2**63},
        {"salon_id": True},
        {"salon_id": {}},
        {"event": {}},
    ],
)
def test_a_lifecycle_event_with_odd_fields_gets_400(changes: dict[str, Any]) -> None:
    assert post({**lifecycle_body("freeze"), **changes}).status_code == 400


@pytest.mark.parametrize(
    "changes", [{"company_id": "x"}, {"resource": []}, {"resource_id": {}}, {"status": 1.5}]
)
def test_an_entity_event_with_odd_fields_is_no_server_error(changes: dict[str, Any]) -> None:
    make_active()
    assert post({**load("record_update"), **changes}, MOSCOW_WEBHOOK_URL).status_code in (200, 400)


def test_more_than_a_mebibyte_is_refused_with_and_without_a_length() -> None:
    make_active()
    big = {**load("record_update"), "filling": "x" * 1024 * 1024}
    assert post(big, MOSCOW_WEBHOOK_URL).status_code == 413
    assert not InboundWebhook.objects.exists()


async def test_a_long_body_without_a_length_is_refused() -> None:
    assert (await ask(WEBHOOK_URL, b"[" * 1024 * 1024, b"[[")).status_code == 413
