"""Outgoing events: statuses of messages, changes of the session; where they go, and what became of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.utils import timezone

from marketplace.inbound import forwarding, outgoing_events
from marketplace.models import Company, ForwardedMessage, Forwarding, MarketplaceEvent
from marketplace.sync import connections
from tests.marketplace.api.conftest import ApiCaller, caller_for
from tests.marketplace.clients import work, writes
from tests.marketplace.listener import Listener
from tests.marketplace.salons_data import EKATERINBURG, MOSCOW, make_active
from whatsapp.messages import message_queue
from whatsapp.models import Message, Session

pytestmark = pytest.mark.django_db(transaction=True)
HERE = "https://bot.example.com/hook"


@pytest.fixture
def bot(settings: Any) -> Iterator[Listener]:
    settings.WHATSAPP_SANDBOX = True  # lets a plain http address of this machine be posted to
    server = Listener()
    yield server
    server.close()


def set_webhook(caller: ApiCaller, url: str = HERE, **events: bool) -> Any:
    return caller.call("PUT", "/webhook", {"url": url, **events})


def deliver() -> None:
    """Do what the worker would do now."""
    work()
    for pk in outgoing_events.STATUSES.due(limit=100):
        outgoing_events.queue_status(pk)
    for pk in forwarding.due(limit=10):
        forwarding.deliver(pk)


def bodies(bot: Listener) -> list[dict[str, Any]]:
    return [json.loads(body) for _path, _headers, body in bot.got]


def test_a_webhook_is_made_with_a_secret_that_is_shown_once(caller: ApiCaller) -> None:
    made = set_webhook(caller, statuses=True)
    assert (made.status_code, made.json()["host"], made.json()["enabled"]) == (201, "bot.example.com", True)
    assert len(made.json()["secret"]) == 64
    again = set_webhook(caller)
    assert (again.status_code, again.json()["statuses"]) == (200, False)
    assert "secret" not in again.json()
    assert "secret" not in caller.get("/webhook").json()
    assert Forwarding.objects.get().secret == made.json()["secret"]


@pytest.mark.parametrize("url", ["http://bot.example.com", "https://127.0.0.1/", "ftp://x", "https://a:b@c/"])
def test_an_address_that_we_may_not_post_to_is_refused(caller: ApiCaller, url: str) -> None:
    answer = set_webhook(caller, url)
    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["url"])
    assert not Forwarding.objects.exists()


def test_a_change_of_the_address_can_wait_for_a_second_person(caller: ApiCaller, settings: Any) -> None:
    set_webhook(caller)
    settings.FORWARDING_SECOND_APPROVER = True
    answer = set_webhook(caller, "https://other.example.com/").json()
    assert (answer["host"], answer["waiting"]) == ("bot.example.com", True)


def test_a_message_tells_each_of_its_states_once_and_in_order(caller: ApiCaller, bot: Listener) -> None:
    set_webhook(caller, bot.url, statuses=True)
    made = caller.send().json()
    now = timezone.now()
    for changes in (
        {"status": "sent", "wa_message_id": "3A", "sent_at": now},
        {"status": "delivered", "delivered_at": now},
    ):
        Message.objects.update(**changes, callback_state="due", callback_next_at=now)
        deliver()
    deliver()
    told = bodies(bot)
    assert [body["event"] for body in told] == ["message.status"] * 2
    assert [body["message"]["status"] for body in told] == ["sent", "delivered"]
    assert {body["message"]["id"] for body in told} == {made["id"]}
    assert {body["salon_id"] for body in told} == {MOSCOW}


def test_the_queue_itself_makes_a_status_due(caller: ApiCaller, bot: Listener) -> None:
    set_webhook(caller, bot.url, statuses=True)
    caller.send()
    message_queue.finish_waiting(Message.objects.all(), error_code="expired", error="too late")
    deliver()
    [body] = bodies(bot)
    assert (body["message"]["status"], body["message"]["error"]) == ("failed", "expired")


def test_who_did_not_ask_for_states_gets_none(caller: ApiCaller, bot: Listener, moscow: Company) -> None:
    set_webhook(caller, bot.url)
    caller.send()
    message_queue.finish_waiting(Message.objects.all(), error_code="expired", error="too late")
    writes(moscow, "Есть время завтра?")
    deliver()
    assert [body["event"] for body in bodies(bot)] == ["message.received"]


def test_a_logged_out_phone_is_told(caller: ApiCaller, bot: Listener, moscow: Company) -> None:
    set_webhook(caller, bot.url, session_changes=True)
    connections.record(moscow.pk)
    Session.objects.update(status="logged_out", jid="")
    connections.record(moscow.pk)
    deliver()
    assert [(body["event"], body["session"]["linked"]) for body in bodies(bot)] == [
        ("session.changed", True),
        ("session.changed", False),
    ]


def test_a_given_up_delivery_is_listed_and_replayed(
    caller: ApiCaller, bot: Listener, moscow: Company
) -> None:
    set_webhook(caller, bot.url)
    writes(moscow, "Есть время завтра?")
    work()
    ForwardedMessage.objects.update(state="dead", last_error="HTTP 500")
    [row] = caller.get("/webhook/deliveries").json()["results"]
    assert (row["state"], row["error"], row["event"]) == ("dead", "HTTP 500", "message.received")
    assert caller.call("POST", f"/webhook/deliveries/{row['id']}/replay").status_code == 202
    deliver()
    assert len(bot.got) == 1
    assert caller.call("POST", f"/webhook/deliveries/{row['id']}/replay").status_code == 400


def test_a_switched_off_webhook_gets_nothing(caller: ApiCaller, bot: Listener, moscow: Company) -> None:
    set_webhook(caller, bot.url)
    assert caller.call("DELETE", "/webhook").status_code == 204
    event = MarketplaceEvent.objects.get(event_type="forwarding_switched")
    assert (event.event_data["by"][:9], event.event_data["enabled"]) == ("API key: ", False)
    writes(moscow, "Есть время завтра?")
    deliver()
    assert bot.got == []


def test_anothers_webhook_is_out_of_reach(caller: ApiCaller, moscow: Company) -> None:
    other = caller_for(make_active(EKATERINBURG))
    set_webhook(other)
    Forwarding.objects.update(enabled=True)
    message = writes(Company.objects.get(salon_id=EKATERINBURG), "Привет")
    work()
    theirs = ForwardedMessage.objects.get(message=message)
    assert caller.get("/webhook").status_code == 404
    assert caller.get("/webhook", salon_id=EKATERINBURG).status_code == 404
    assert caller.get("/webhook/deliveries").json()["results"] == []
    assert caller.call("POST", f"/webhook/deliveries/{theirs.delivery_id}/replay").status_code == 404


def test_the_scope_is_needed(moscow: Company) -> None:
    sender = caller_for(moscow, scopes=["messages:send"])
    assert set_webhook(sender).status_code == 403
    assert sender.get("/webhook/deliveries").status_code == 403
