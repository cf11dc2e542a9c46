"""Webhooks are kept before they are answered, without secrets, and once however often they arrive."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext

from marketplace.models import InboundWebhook
from marketplace.webhooks import envelopes, intake, store
from tests.environment import PARTNER_TOKEN
from tests.marketplace.salons_data import MOSCOW, make_active
from tests.marketplace.webhook_posts import (
    MOSCOW_SECRET,
    MOSCOW_WEBHOOK_URL,
    WEBHOOK_URL,
    events,
    lifecycle_body,
    post,
    request,
)
from tests.payloads import load

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_record_is_kept_whole_and_left_to_the_worker() -> None:
    company = make_active()
    assert post(load("record_update"), MOSCOW_WEBHOOK_URL).json() == {"success": True, "status": "stored"}
    kept = InboundWebhook.objects.get()
    assert (kept.company_id, kept.salon_id, kept.name) == (company.pk, MOSCOW, "record.update")
    assert (kept.state, kept.body) == ("received", load("record_update"))
    assert kept.next_attempt_at is not None


def test_what_has_no_effect_here_is_kept_and_marked() -> None:
    make_active()
    post(load("record_update", resource="goods_operations_sale"), MOSCOW_WEBHOOK_URL)
    kept = InboundWebhook.objects.get()
    assert (kept.state, kept.next_attempt_at) == ("ignored", None)


def test_secrets_are_not_kept_at_any_depth() -> None:
    make_active()
    body = load("record_update")
    body["data"]["client"]["api_key"] = "k"
    body["data"]["services"][0] |= {"Access_Token": "t", "note": f"see {PARTNER_TOKEN}"}
    post(body, MOSCOW_WEBHOOK_URL)
    post(lifecycle_body("freeze", extra={"deep": [{"password": "p"}]}))
    kept = json.dumps(list(InboundWebhook.objects.values_list("body", flat=True)))
    assert PARTNER_TOKEN not in kept
    assert not [word for word in ("api_key", 'oken"', "password") if word in kept]
    assert "see [removed]" in kept


def test_characters_that_no_database_keeps_are_replaced() -> None:
    make_active()
    body = load("record_update", resource_id="a\x00b", note="\ud800 \x00", **{"\x00key": 1})
    assert post(body, MOSCOW_WEBHOOK_URL).status_code in (200, 400)
    body = load("record_update", note="\ud800 \x00", **{"\x00key": 1})
    assert post(body, MOSCOW_WEBHOOK_URL).status_code == 200
    assert InboundWebhook.objects.get().body["note"] == "\ufffd \ufffd"


def test_unknown_resources_and_events_are_kept() -> None:
    make_active()
    assert post(load("record_update", resource="loyalty_card"), MOSCOW_WEBHOOK_URL).status_code == 200
    assert post(lifecycle_body("tariff_changed")).status_code == 200
    assert set(InboundWebhook.objects.values_list("state", flat=True)) == {"ignored"}


def test_an_event_about_a_salon_that_never_came_is_kept() -> None:
    assert post(lifecycle_body("uninstall", salon_id=99)).status_code == 200
    assert InboundWebhook.objects.get().state == "ignored"


def test_a_database_that_is_away_is_never_answered_with_200(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_arguments: Any, **_more: Any) -> None:
        raise OperationalError("the connection is lost")

    monkeypatch.setattr(store, "_insert", away)
    assert post(lifecycle_body("freeze")).status_code == 503


def test_a_record_that_arrives_four_times_is_kept_once() -> None:
    make_active()
    answers = [post(load("record_update"), MOSCOW_WEBHOOK_URL) for _ in range(4)]
    assert [answer.json()["status"] for answer in answers] == ["stored", "repeat", "repeat", "repeat"]
    assert InboundWebhook.objects.get().repeats == 3


def test_a_changed_record_is_not_a_repeat() -> None:
    make_active()
    body = load("record_update")
    post(body, MOSCOW_WEBHOOK_URL)
    body["data"]["attendance"] = -1
    post(body, MOSCOW_WEBHOOK_URL)
    post({**body, "status": "delete"}, MOSCOW_WEBHOOK_URL)
    assert InboundWebhook.objects.count() == 3


def test_the_order_of_fields_makes_no_other_record() -> None:
    make_active()
    body = load("record_update")
    post(body, MOSCOW_WEBHOOK_URL)
    body["data"] = dict(reversed(body["data"].items()))
    assert post(body, MOSCOW_WEBHOOK_URL).json()["status"] == "repeat"


def test_copies_that_arrive_at_once_are_kept_once() -> None:
    make_active()

    def one(number: int) -> int:
        try:
            body, url = (
                (load("record_update"), MOSCOW_WEBHOOK_URL)
                if number % 2
                else (lifecycle_body("freeze"), WEBHOOK_URL)
            )
            return int(post(body, url).status_code)
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as threads:
        assert set(threads.map(one, range(12))) == {200}
    assert sorted(InboundWebhook.objects.values_list("repeats", flat=True)) == [5, 5]
    assert events("frozen") == 1


def test_bodies_that_come_together_are_each_answered_for_themselves() -> None:
    make_active()
    answers = intake.handle(
        [
            request(load("record_update"), MOSCOW_SECRET),
            request(b"no json"),
            request(lifecycle_body("probe")),
            request(lifecycle_body("probe", partner_token="forged")),
            request(load("record_update"), MOSCOW_SECRET),
            request(load("record_update")),  # an entity event on the address that is everybody's
        ]
    )
    assert [answer.status for answer in answers] == [200, 400, 200, 403, 200, 403]
    assert [json.loads(answers[place].content)["status"] for place in (0, 2, 4)] == [
        "stored",
        "stored",
        "repeat",
    ]
    assert InboundWebhook.objects.get(kind="entity").repeats == 1
    assert InboundWebhook.objects.get(kind="lifecycle").repeats == 0


def test_several_repeats_and_new_ones_are_stored_by_one_statement() -> None:
    known, new = request(lifecycle_body("probe")), request(lifecycle_body("tariff_changed"))
    intake.handle([known])
    with CaptureQueriesContext(connection) as queries:
        answers = intake.handle([known, new, known, new, new])
    said = [json.loads(answer.content)["status"] for answer in answers]
    assert said == ["repeat", "stored", "repeat", "repeat", "repeat"]
    assert list(InboundWebhook.objects.order_by("pk").values_list("name", "repeats")) == [
        ("probe", 2),
        ("tariff_changed", 2),
    ]
    assert len([query for query in queries if "INSERT" in query["sql"]]) == 1


@pytest.mark.skipif("connection.vendor == 'sqlite'", reason="SQLite takes texts of any length")
def test_one_that_the_database_does_not_take_fails_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def long_name(body: dict[str, Any]) -> envelopes.Lifecycle:
        envelope = read_lifecycle(body)
        return replace(envelope, event="x" * 65) if envelope.event == "broken" else envelope

    read_lifecycle = envelopes.read_lifecycle
    monkeypatch.setattr(envelopes, "read_lifecycle", long_name)
    names = ("probe", "broken", "tariff_changed")
    answers = intake.handle([request(lifecycle_body(name)) for name in names])
    assert [answer.status for answer in answers] == [200, 503, 200]
    assert set(InboundWebhook.objects.values_list("name", flat=True)) == {"probe", "tariff_changed"}
