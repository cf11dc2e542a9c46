"""Webhooks are kept before they are answered, without secrets, and once however often they arrive."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.db.models import QuerySet

from marketplace.models import InboundWebhook
from marketplace.webhooks import views
from tests.environment import PARTNER_TOKEN
from tests.marketplace.salons_data import MOSCOW, make_active
from tests.marketplace.webhook_posts import MOSCOW_WEBHOOK_URL, WEBHOOK_URL, events, lifecycle_body, post
from tests.payloads import load

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_record_is_kept_whole_and_left_to_the_worker() -> None:
    company = make_active()
    assert post(load("record_update"), MOSCOW_WEBHOOK_URL).json() == {"success": True, "status": "kept"}
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

    monkeypatch.setattr(QuerySet, "bulk_create", away)
    assert post(lifecycle_body("freeze")).status_code == 503


def test_a_record_that_arrives_four_times_is_kept_once() -> None:
    make_active()
    answers = [post(load("record_update"), MOSCOW_WEBHOOK_URL) for _ in range(4)]
    assert [answer.json()["status"] for answer in answers] == ["kept", "repeat", "repeat", "repeat"]
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
    secret = MOSCOW_WEBHOOK_URL.rsplit("/", 1)[-1]
    record = json.dumps(load("record_update")).encode()
    probe = json.dumps(lifecycle_body("probe")).encode()
    forged = json.dumps(lifecycle_body("probe", partner_token="forged")).encode()
    requests = [
        views.WebhookRequest(record, secret),
        views.WebhookRequest(b"no json"),
        views.WebhookRequest(probe),
        views.WebhookRequest(forged),
        views.WebhookRequest(record, secret),
        views.WebhookRequest(record),  # an entity event on the address that is everybody's
    ]
    taken = views.intake_all(requests)
    assert [one.response.status_code for one in taken] == [200, 400, 200, 403, 200, 403]
    assert [json.loads(taken[place].response.content)["status"] for place in (0, 2, 4)] == [
        "kept",
        "kept",
        "repeat",
    ]
    assert InboundWebhook.objects.get(kind="entity").repeats == 1
    assert InboundWebhook.objects.get(kind="lifecycle").repeats == 0


def test_one_that_another_process_keeps_at_the_same_moment_is_a_repeat_and_the_others_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, second = (json.dumps(lifecycle_body(name)).encode() for name in ("probe", "knock"))
    views.intake_all([views.WebhookRequest(first)])
    with monkeypatch.context() as moment_before:
        moment_before.setattr(QuerySet, "in_bulk", lambda *_arguments, **_named: {})
        taken = views.intake_all(
            [views.WebhookRequest(first), views.WebhookRequest(second), views.WebhookRequest(second)]
        )
    said = [json.loads(one.response.content)["status"] for one in taken]
    assert said == ["repeat", "kept", "repeat"]
    assert list(InboundWebhook.objects.order_by("pk").values_list("name", "repeats")) == [
        ("probe", 1),
        ("knock", 1),
    ]
