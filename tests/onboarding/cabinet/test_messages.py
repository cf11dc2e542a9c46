"""The cabinet's messages: the list, one message's story, sending again, opt-outs, the file."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from config.shared import rate_limits
from marketplace.models import Company, MarketplaceEvent, OptOut
from tests.onboarding.cabinet.owners import owned_salon, signed_in
from whatsapp.models import Message

pytestmark = pytest.mark.django_db(transaction=True)
LIST = "/cabinet/307626/messages"
IVAN, MARIA = "79990000001", "79990000002"


@pytest.fixture
def salon() -> Company:
    rate_limits.forget()
    return owned_salon(307626)


@pytest.fixture
def owner(salon: Company) -> Client:
    return signed_in([salon])


def message(salon: Company, phone: str = IVAN, *, text: str = "Ждём вас", **fields: Any) -> Message:
    defaults = {"source": "booking", "status": "failed", "error_code": "refused"}
    assert salon.session is not None
    return Message.objects.create(session=salon.session, phone=phone, text=text, **{**defaults, **fields})


def shown(owner: Client, query: str = "") -> str:
    answer = owner.get(f"{LIST}{query}")
    assert answer.status_code == 200
    return str(answer.content.decode())


def test_the_list_is_found_by_the_phone_in_any_form_and_by_state(owner: Client, salon: Company) -> None:
    message(salon, IVAN, text="to Ivan")
    message(salon, MARIA, text="to Maria", status="queued", error_code="")
    assert "to Ivan" in (page := shown(owner))
    assert "to Maria" in page
    for search in ("8 (999) 000-00-01", "%2B7 999 000 00 01", "0001"):
        page = shown(owner, f"?q={search}")
        assert ("to Ivan" in page, "to Maria" in page) == (True, False)
    page = shown(owner, "?state=queued")
    assert ("to Ivan" in page, "to Maria" in page) == (False, True)
    assert "at least its last four digits" in shown(owner, "?q=Ivan")
    assert "Nothing was found" in shown(owner, "?q=5555")


def test_the_list_goes_on_by_a_cursor_and_keeps_what_was_chosen(owner: Client, salon: Company) -> None:
    made = [message(salon, text=f"number {number:03}") for number in range(53)]
    assert f"?state=failed&amp;before={made[3].pk}" in (first := shown(owner, "?state=failed"))
    assert "number 003" in first
    assert "number 002" not in first
    second = shown(owner, f"?state=failed&before={made[3].pk}")
    assert "number 002" in second
    assert "Older messages" not in second


@pytest.mark.parametrize("query", ["?before=9" + "9" * 400, "?before=-1", "?before=²", "?state=x", "?q=%00"])
def test_a_query_that_makes_no_sense_is_no_fault(owner: Client, query: str) -> None:
    shown(owner, query)


def test_neither_another_salons_messages_nor_one_time_links_are_shown(owner: Client, salon: Company) -> None:
    others = owned_salon(412870, owner="2", phone="79990002233")
    theirs = message(others, text="somebody else's")
    link = message(salon, source="support", external_id="access:1:2", text="https://link")
    page = shown(owner)
    assert "somebody else" not in page
    assert "https://link" not in page
    for each in (theirs, link):
        assert owner.get(f"{LIST}/{each.pk}").status_code == 404
        assert owner.post(f"{LIST}/{each.pk}/resend").status_code == 404


def test_a_failed_message_says_why_and_goes_out_once_more(owner: Client, salon: Company) -> None:
    failed = message(salon, finished_at=timezone.now())
    story = owner.get(f"{LIST}/{failed.pk}").content.decode()
    assert "WhatsApp refused it." in story
    assert "Send it again" in story
    first = owner.post(f"{LIST}/{failed.pk}/resend")
    copy = Message.objects.get(external_id=f"resend:{failed.pk}:1")
    assert first["Location"] == f"{LIST}/{copy.pk}"
    again = owner.post(f"{LIST}/{failed.pk}/resend", follow=True)
    assert "on its way or has arrived" in again.content.decode()
    assert Message.objects.filter(text=failed.text).count() == 2
    assert MarketplaceEvent.objects.filter(event_type="message_resent").count() == 1


def test_a_message_that_arrived_or_is_unwanted_is_not_sent_again(owner: Client, salon: Company) -> None:
    sent = message(salon, status="delivered", wa_message_id="A", error_code="")
    assert "Send it again" not in owner.get(f"{LIST}/{sent.pk}").content.decode()
    owner.post(f"{LIST}/{sent.pk}/resend")
    failed = message(salon)
    OptOut.objects.create(company=salon, phone=IVAN)
    assert "has opted out" in owner.get(f"{LIST}/{failed.pk}").content.decode()
    owner.post(f"{LIST}/{failed.pk}/resend")
    assert Message.objects.count() == 2


def test_what_a_client_is_written_is_no_markup(owner: Client, salon: Company) -> None:
    hostile = message(salon, text="<script>alert(1)</script>")
    for page in (shown(owner), owner.get(f"{LIST}/{hostile.pk}").content.decode()):
        assert "<script>alert" not in page


def test_a_client_is_put_on_the_list_of_opt_outs_and_taken_off_it(owner: Client, salon: Company) -> None:
    waiting = message(salon, status="queued", error_code="")
    page = owner.post(f"{LIST}/opt-outs", {"phone": "8 999 000-00-01", "scope": "everything"}, follow=True)
    assert "+7 999 000-00-01" in page.content.decode()
    row = OptOut.objects.get(company=salon, phone=IVAN)
    assert row.holds
    waiting.refresh_from_db()
    assert waiting.error_code == "opted_out"
    owner.post(f"{LIST}/opt-outs/{row.pk}/remove")
    assert OptOut.objects.get(pk=row.pk).undone_at is not None
    events = MarketplaceEvent.objects.filter(event_type="opt_out_changed")
    assert events.count() == 2
    assert IVAN not in str([event.event_data for event in events])


def test_no_phone_and_another_salons_row_change_nothing(owner: Client) -> None:
    assert (
        'data-tone="bad"'
        in owner.post(f"{LIST}/opt-outs", {"phone": "x" * 9000}, follow=True).content.decode()
    )
    theirs = OptOut.objects.create(company=owned_salon(412870, owner="2", phone="79990002233"), phone=IVAN)
    assert owner.post(f"{LIST}/opt-outs/{theirs.pk}/remove").status_code == 404
    theirs.refresh_from_db()
    assert theirs.holds


def test_the_file_holds_the_salons_messages_of_the_last_months(owner: Client, salon: Company) -> None:
    message(salon, text="=1+1")
    message(salon, text="old", created_at=timezone.now() - timedelta(days=200))
    message(owned_salon(412870, owner="2", phone="79990002233"), text="somebody else's")
    answer: Any = owner.post(f"{LIST}/export")

    async def read() -> bytes:
        return b"".join([piece async for piece in answer])

    text = asyncio.run(read()).decode("utf-8-sig")
    assert [line.split(",")[2] for line in text.splitlines()[1:]] == ["'=1+1"]
    assert MarketplaceEvent.objects.filter(event_type="messages_exported").count() == 1


def test_a_salon_without_a_phone_has_no_messages(owner: Client, salon: Company) -> None:
    Company.objects.update(session=None)
    assert "No messages yet" in shown(owner)
