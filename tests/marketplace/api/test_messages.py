"""Sending and following messages over the public API."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from marketplace.inbound import opt_outs
from marketplace.models import Company
from tests.marketplace.api.conftest import ApiCaller, caller_for
from tests.marketplace.clients import IVAN, writes
from tests.marketplace.salons_data import EKATERINBURG, MOSCOW, make_active
from whatsapp.models import Message

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_message_is_queued_before_it_is_answered(caller: ApiCaller, moscow: Company) -> None:
    answer = caller.send()
    row = Message.objects.get()
    assert answer.status_code == 202
    assert answer.json()["id"] == str(row.pk)
    assert (row.session_id, row.phone, row.text, row.status) == (
        moscow.session_id, IVAN, "Добрый день", "queued",
    )  # fmt: skip


def test_the_answer_says_how_far_the_message_is(caller: ApiCaller) -> None:
    made = caller.send().json()
    now = timezone.now()
    Message.objects.update(status="delivered", wa_message_id="3A", sent_at=now, delivered_at=now)
    seen = caller.get(f"/messages/{made['id']}").json()
    assert (seen["status"], seen["salon_id"], seen["direction"]) == ("delivered", MOSCOW, "out")
    assert seen["delivered_at"] is not None


def test_a_repeat_of_the_key_sends_nothing(caller: ApiCaller) -> None:
    first, second = caller.send("visit-7"), caller.send("visit-7")
    assert (first.status_code, second.status_code) == (202, 200)
    assert first.json()["id"] == second.json()["id"]
    assert Message.objects.count() == 1


def test_a_key_used_for_another_message_is_refused(caller: ApiCaller) -> None:
    caller.send("visit-7")
    answer = caller.send("visit-7", text="Другой текст")
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
    assert answer["Content-Type"] == "application/problem+json"


def test_without_a_key_each_request_is_a_message_of_its_own(caller: ApiCaller) -> None:
    assert caller.send().json()["id"] != caller.send().json()["id"]


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"text": ""}, "text"),
        ({"text": "x" * 4097}, "text"),
        ({"category": "gossip"}, "category"),
        ({"send_at": "tomorrow"}, "send_at"),
        ({"send_at": (timezone.now() + timedelta(days=40)).isoformat()}, "send_at"),
        ({"expires_at": (timezone.now() - timedelta(days=1)).isoformat()}, "expires_at"),
        ({"salon_id": 0}, "salon_id"),
    ],
)
def test_a_field_that_makes_no_sense_is_named(
    caller: ApiCaller, fields: dict[str, Any], complaint: str
) -> None:
    answer = caller.send(**fields)
    assert answer.status_code == 400
    assert list(answer.json()["errors"]) == [complaint]
    assert not Message.objects.exists()


def test_what_is_no_phone_is_refused(caller: ApiCaller) -> None:
    answer = caller.send(to="перезвоните мне")
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_phone")


def test_a_message_can_wait_for_its_moment(caller: ApiCaller) -> None:
    at = timezone.now() + timedelta(hours=5)
    caller.send(send_at=at.isoformat())
    assert Message.objects.get().not_before == at


def test_a_frozen_salon_sends_nothing(caller: ApiCaller, moscow: Company) -> None:
    Company.objects.update(status="frozen")
    assert caller.send().status_code == 402
    assert not Message.objects.exists()


def test_a_salon_without_a_linked_phone_sends_nothing(caller: ApiCaller, moscow: Company) -> None:
    assert moscow.session is not None
    type(moscow.session).objects.update(jid="", status="logged_out")
    answer = caller.send()
    assert (answer.status_code, answer.json()["code"]) == (409, "not_connected")


def test_advertising_is_refused_to_who_opted_out(caller: ApiCaller, moscow: Company) -> None:
    opt_outs.opt_out(company_ids=[moscow.pk], phone=IVAN)
    assert caller.send(category="adds").status_code == 409
    assert caller.send().status_code == 202


def test_a_list_goes_page_by_page_and_loses_nothing(caller: ApiCaller) -> None:
    made = [caller.send().json()["id"] for _ in range(5)]
    page = caller.get("/messages", limit=2).json()
    seen = [row["id"] for row in page["results"]]
    caller.send()  # new rows shift nothing
    while page["next"]:
        page = caller.call("GET", page["next"]).json()
        seen += [row["id"] for row in page["results"]]
    assert seen == made[::-1]


def test_a_list_can_be_narrowed(caller: ApiCaller, moscow: Company) -> None:
    caller.send()
    writes(moscow, "Есть время завтра?")
    assert [row["direction"] for row in caller.get("/messages", direction="in").json()["results"]] == ["in"]
    assert [row["text"] for row in caller.get("/inbound").json()["results"]] == ["Есть время завтра?"]
    assert caller.get("/messages", status="failed").json()["results"] == []
    assert caller.get("/messages", status="nonsense").status_code == 400


class TestAnothersSalon:
    """No key reaches what is not its salon's."""

    def test_cannot_send(self, caller: ApiCaller) -> None:
        make_active(EKATERINBURG)
        assert caller.send(salon_id=EKATERINBURG).status_code == 404
        assert not Message.objects.exists()

    def test_cannot_be_read(self, caller: ApiCaller) -> None:
        other = caller_for(make_active(EKATERINBURG))
        theirs = other.send().json()["id"]
        assert caller.get(f"/messages/{theirs}").status_code == 404
        assert caller.get("/messages").json()["results"] == []
        assert caller.get("/messages", salon_id=EKATERINBURG).status_code == 404

    def test_cannot_be_read_through_a_shared_number(self, caller: ApiCaller, moscow: Company) -> None:
        other = caller_for(make_active(EKATERINBURG, session=moscow.session))
        theirs = other.send().json()["id"]
        assert caller.get(f"/messages/{theirs}").status_code == 404

    def test_an_uninstalled_salon_is_gone(self, caller: ApiCaller, moscow: Company) -> None:
        Company.objects.update(status="uninstalled", api_key="", api_key_digest=None)
        assert caller.send().status_code == 404
        assert caller.get("/sessions").status_code == 404


def test_a_key_with_several_salons_must_name_one_to_send(moscow: Company) -> None:
    both = caller_for(moscow, make_active(EKATERINBURG))
    assert "salon_id" in both.send().json()["errors"]
    assert both.send(salon_id=EKATERINBURG).json()["salon_id"] == EKATERINBURG
