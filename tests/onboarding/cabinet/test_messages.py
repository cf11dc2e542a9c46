"""The cabinet's messages: the list, one message's story, sending again, opt-outs, the file."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from config.shared import rate_limits
from marketplace.models import Company, MarketplaceEvent, OptOut
from onboarding.cabinet import message_lists
from tests.onboarding.cabinet.owners import owned_salon
from whatsapp.models import Message

pytestmark = pytest.mark.django_db(transaction=True)
LIST = "/cabinet/307626/messages"
IVAN, MARIA = "79990000001", "79990000002"


@pytest.fixture
def salon() -> Company:
    rate_limits.forget()
    return owned_salon(307626)


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
    assert exported(owner) == ["'=1+1"]
    assert MarketplaceEvent.objects.filter(event_type="messages_exported").count() == 1


def exported(owner: Client, **chosen: str) -> list[str]:
    """The texts in the file."""
    answer: Any = owner.post(f"{LIST}/export", chosen)

    async def read() -> bytes:
        return b"".join([piece async for piece in answer])

    return [line.split(",")[2] for line in asyncio.run(read()).decode("utf-8-sig").splitlines()[1:]]


def test_the_file_holds_what_is_chosen(
    owner: Client, salon: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(message_lists, "WINDOW", 3)
    for number in range(4):
        message(salon, IVAN, text=f"failed {number}")
        message(salon, MARIA, text=f"reminder {number}", source="reminder", status="queued", error_code="")
    assert exported(owner, state="failed") == [f"failed {number}" for number in (3, 2, 1, 0)]
    assert exported(owner, kind="reminder", state="queued") == [f"reminder {n}" for n in (3, 2, 1, 0)]
    assert exported(owner, q="0001", state="queued") == []
    assert exported(owner, q=MARIA) == [f"reminder {number}" for number in (3, 2, 1, 0)]
    assert "last four digits" in owner.post(f"{LIST}/export", {"q": "Ivan"}, follow=True).content.decode()
    page = shown(owner, "?state=failed&kind=booking&q=0001")
    for name, value in {"state": "failed", "kind": "booking", "q": "0001"}.items():
        assert f'<input type="hidden" name="{name}" value="{value}">' in page
    events = MarketplaceEvent.objects.filter(event_type="messages_exported").order_by("pk")
    assert events[1].event_data == {"by": "cabinet", "days": 92, "state": "queued", "kind": "reminder"}
    assert MARIA not in str([event.event_data for event in events])


def test_the_file_has_so_many_rows_and_the_page_says_how_many(
    owner: Client, salon: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(message_lists, "EXPORT_ROWS", 3)
    monkeypatch.setattr(message_lists, "EXPORT_PAGE", 2)
    for number in range(5):
        message(salon, text=f"number {number}")
    assert exported(owner) == ["number 4", "number 3", "number 2"]
    assert "at most the newest 3 messages" in shown(owner)
    assert "what is chosen above, at most the newest 3" in shown(owner, "?state=failed")


def test_the_list_is_narrowed_to_a_kind(owner: Client, salon: Company) -> None:
    message(salon, text="to remind", source="reminder")
    message(salon, text="to answer", source="cabinet")
    message(salon, text="to test", source="test")
    for kind, text in {"reminder": "to remind", "answer": "to answer", "other": "to test"}.items():
        page = shown(owner, f"?kind={kind}")
        found = [words for words in ("to remind", "to answer", "to test") if words in page]
        assert found == [text]
    assert "Nothing was found" in shown(owner, "?kind=api")
    assert "to test" in shown(owner, "?kind=nonsense")


def test_a_rare_state_is_looked_for_a_bounded_way_back_and_the_page_says_so(
    owner: Client, salon: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(message_lists, "WINDOW", 5)
    message(salon, text="rare", status="queued", error_code="")
    for _number in range(6):
        message(salon)
    page = shown(owner, "?state=queued")
    assert "rare" not in page
    assert "there are older ones" in page
    further = re.search(r'href="(\?state=queued&amp;before=\d+)">Look further back', page)
    assert further
    page = shown(owner, further[1].replace("&amp;", "&"))
    assert "rare" in page
    assert "Look further back" not in page
    assert "rare" in shown(owner, "?state=queued&q=0001")  # a phone is found at once
    assert "there are older ones" not in shown(owner)


@pytest.mark.skipif(connection.vendor != "postgresql", reason="asks PostgreSQL for its plan")
def test_a_list_reads_no_other_salons_messages(owner: Client, salon: Company) -> None:
    others = [owned_salon(412870 + number, phone=f"799900022{number:02}") for number in range(20)]
    made = [
        Message(session=(others[number % 20] if number % 25 else salon).session, phone=f"7900{number}",
                source="operator", status="read" if number % 25 else "delivered", wa_message_id=str(number))
        for number in range(6000)
    ]  # fmt: skip
    Message.objects.bulk_create(made)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE whatsapp_message")
        with CaptureQueriesContext(connection) as captured:
            for query in ("?state=read", "?state=sent", "?kind=notification", ""):
                shown(owner, query)
        asked = [each["sql"] for each in captured if 'FROM "whatsapp_message"' in each["sql"]]
        for sql in asked:
            cursor.execute(f"EXPLAIN {sql}")
            plan = "\n".join(line for (line,) in cursor.fetchall())
            assert "message_pkey" not in plan or "id = " in plan, plan
    assert len(asked) >= 4


def test_a_salon_without_a_phone_has_no_messages(owner: Client, salon: Company) -> None:
    Company.objects.update(session=None)
    assert "No messages yet" in shown(owner)
