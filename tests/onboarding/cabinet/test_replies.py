"""The cabinet's replies: conversations, reading and answering, and where replies are forwarded to."""

from __future__ import annotations

import json
import re
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from limits import RateLimitItemPerMinute

from config.shared import rate_limits
from marketplace.inbound import forwarding as forwarding_queue
from marketplace.models import (
    Company,
    ForwardedMessage,
    Forwarding,
    ForwardingChange,
    MarketplaceEvent,
    OptOut,
)
from marketplace.salons import lifecycle
from onboarding.cabinet import replies
from tests.marketplace.clients import IVAN, writes
from tests.marketplace.listener import Listener
from tests.onboarding.cabinet.owners import owned_salon
from whatsapp.models import Conversation, Message

pytestmark = pytest.mark.django_db(transaction=True)
LIST = "/cabinet/307626/replies"
FORWARDING = f"{LIST}/forwarding"


@pytest.fixture
def others() -> Company:
    return owned_salon(412870, owner="2", phone="79990002233")


def page(owner: Client, address: str = LIST) -> str:
    answer = owner.get(address)
    assert answer.status_code == 200
    return str(answer.content.decode())


def conversation() -> Conversation:
    return Conversation.objects.get()


def address(row: Conversation, action: str = "") -> str:
    return f"{LIST}/{row.pk}{action}"


def test_what_clients_wrote_is_listed_and_unread_until_it_was_seen(owner: Client, salon: Company) -> None:
    assert "No client has written yet" in page(owner)
    writes(salon, "Can I come later?", phone=IVAN)
    writes(salon, "At six?", phone=IVAN)
    shown = page(owner)
    assert "At six?" in shown
    assert "New: 2" in shown
    row = conversation()
    opened = page(owner, address(row))
    assert opened.index("Can I come later?") < opened.rindex("At six?")
    assert "New: 2" in page(owner)  # opening changes nothing: programs open addresses too
    latest = re.search(r'name="up_to" value="(\d+)"', opened)
    assert latest
    owner.post(address(row, "/read"), {"up_to": latest[1]})
    assert "New: " not in page(owner)
    writes(salon, "Or seven?", phone=IVAN)
    owner.post(address(row, "/read"), {"up_to": latest[1]})
    assert "New: 1" in page(owner)  # not seen yet


def test_an_answer_goes_out_once_however_often_the_form_is_sent(owner: Client, salon: Company) -> None:
    writes(salon, "Hello", phone=IVAN)
    row, form = conversation(), {"text": " Come at six ", "nonce": str(uuid.uuid4())}
    for _time in range(2):
        assert owner.post(address(row, "/answer"), form)["Location"] == address(row)
    [message] = Message.objects.filter(source="cabinet")
    assert (message.text, message.phone, message.status) == ("Come at six", IVAN, "queued")
    shown = page(owner)
    assert "You:" in shown
    assert "Come at six" in shown
    assert "New: " not in shown  # who answers has read
    [event] = MarketplaceEvent.objects.filter(event_type="client_answered")
    assert event.event_data == {"by": "cabinet", "message": message.pk}


def test_another_text_of_a_form_that_was_sent_before_is_not_lost_unseen(
    owner: Client, salon: Company
) -> None:
    writes(salon, "Hello", phone=IVAN)
    row, form = conversation(), {"text": "Come at six", "nonce": str(uuid.uuid4())}
    owner.post(address(row, "/answer"), form)
    shown = owner.post(address(row, "/answer"), {**form, "text": "No, at seven"}).content.decode()
    assert "sent before with another text" in shown
    assert "No, at seven</textarea>" in shown
    [new] = re.findall(r'name="nonce" value="([^"]+)"', shown)
    assert [each.text for each in Message.objects.filter(source="cabinet")] == ["Come at six"]
    owner.post(address(row, "/answer"), {"text": "No, at seven", "nonce": new})
    assert Message.objects.filter(source="cabinet").count() == 2
    assert MarketplaceEvent.objects.filter(event_type="client_answered").count() == 2


def test_a_salon_that_is_being_activated_answers_as_its_bot_may(owner: Client, salon: Company) -> None:
    writes(salon, "Hello", phone=IVAN)
    Company.objects.update(status="activating")
    assert "answers cannot be sent" not in page(owner, address(conversation()))
    owner.post(address(conversation(), "/answer"), {"text": "Hi", "nonce": str(uuid.uuid4())})
    assert Message.objects.filter(source="cabinet").count() == 1


@pytest.mark.parametrize("text", ["", "   ", "x" * 4097])
def test_an_answer_has_a_length(owner: Client, salon: Company, text: str) -> None:
    writes(salon, "Hello", phone=IVAN)
    owner.post(address(conversation(), "/answer"), {"text": text, "nonce": "x"})
    assert not Message.objects.filter(source="cabinet").exists()


@pytest.mark.parametrize(
    ("columns", "words"),
    [({"status": "frozen"}, "suspended until it is paid"), ({"session": None}, "no conversation")],
)
def test_a_salon_that_cannot_send_says_so(
    owner: Client, salon: Company, columns: dict[str, Any], words: str
) -> None:
    writes(salon, "Hello", phone=IVAN)
    row = conversation()
    Company.objects.filter(pk=salon.pk).update(**columns)
    answer = owner.post(address(row, "/answer"), {"text": "Hi", "nonce": str(uuid.uuid4())})
    assert not Message.objects.filter(source="cabinet").exists()
    if "session" in columns:
        assert answer.status_code == 404
    else:
        assert words in page(owner, address(row))


def test_an_opted_out_client_is_answered_all_the_same_but_it_is_said(owner: Client, salon: Company) -> None:
    writes(salon, "Hello", phone=IVAN)
    OptOut.objects.create(company=salon, phone=IVAN)
    assert "wants no automatic messages" in page(owner, address(conversation()))


def test_a_client_who_wants_no_advertising_alone_is_shown_as_such(owner: Client, salon: Company) -> None:
    writes(salon, "Hello", phone=IVAN)
    row = OptOut.objects.create(company=salon, phone=IVAN, scope="adds")
    shown = page(owner, address(conversation()))
    assert "wants no advertising" in shown
    assert "wants no automatic messages" not in shown
    OptOut.objects.filter(pk=row.pk).update(undone_at=timezone.now())
    assert "wants no advertising" not in page(owner, address(conversation()))


def test_who_answers_while_sending_is_paused_is_told_that_it_waits(owner: Client, salon: Company) -> None:
    writes(salon, "Hello", phone=IVAN)
    where = address(conversation())
    assert "waits until" not in page(owner, where)
    lifecycle.pause_sending(salon, by="cabinet")
    assert "waits until you resume it in the settings" in page(owner, where)
    Company.objects.update(paused_at=None)
    assert "Support has paused sending" in page(owner, where)
    owner.post(f"{where}/answer", {"text": "Hi", "nonce": str(uuid.uuid4())})
    assert Message.objects.get(source="cabinet").status == "queued"


def test_an_open_page_is_given_what_is_new_without_its_frame(owner: Client, salon: Company) -> None:
    for number in range(25):
        writes(salon, f"number {number:02}", phone=IVAN)
    row = conversation()
    opened = page(owner, address(row))
    assert 'aria-live="polite"' in opened
    assert f'data-fragment="{address(row, "/new")}"' in opened
    assert 'aria-current="true"' in opened  # the list beside it
    writes(salon, "And now?", phone=IVAN)
    writes(salon, "I too", phone="79990000077")
    part = page(owner, address(row, "/new"))
    assert "And now?" in part
    assert 'name="up_to"' in part
    assert "I too" not in part
    assert "number 05" not in part  # the newest alone
    assert "<html" not in part
    assert "I too" in page(owner, address(row, "/new?list=1"))
    assert "I too" in page(owner, f"{LIST}/new")
    assert "<html" not in page(owner, f"{LIST}/new")


def test_what_is_said_once_is_not_used_up_by_an_open_page(owner: Client, salon: Company) -> None:
    writes(salon, "Hello", phone=IVAN)
    row = conversation()
    owner.post(f"{FORWARDING}/change", {"url": "no address"})
    for part in (address(row, "/new"), f"{LIST}/new"):
        assert "plain https" not in page(owner, part)
    assert "plain https" in page(owner, address(row))


def test_an_open_page_may_ask_only_so_often(owner: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replies, "FRAGMENTS", RateLimitItemPerMinute(2))
    answers = [owner.get(f"{LIST}/new") for _time in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert int(answers[-1]["Retry-After"]) > 0


def test_what_a_client_writes_is_no_markup(owner: Client, salon: Company) -> None:
    writes(salon, "<img src=x onerror=alert(1)>", phone=IVAN)
    parts = (LIST, f"{LIST}/new", address(conversation()), address(conversation(), "/new?list=1"))
    for shown in [page(owner, part) for part in parts]:
        assert "<img src=x" not in shown


def test_another_salons_conversation_does_not_exist(owner: Client, salon: Company, others: Company) -> None:
    writes(others, "secret words", phone=IVAN)
    row = conversation()
    assert "secret words" not in page(owner)
    assert owner.get(address(row)).status_code == 404
    assert owner.get(address(row, "/new")).status_code == 404
    assert "secret words" not in page(owner, f"{LIST}/new")
    for action in ("/answer", "/read"):
        assert owner.post(address(row, action), {"text": "Hi", "up_to": "9"}).status_code == 404
    assert owner.get(f"{LIST}/{'9' * 30}").status_code == 404
    assert conversation().unread == 1


def test_a_one_time_link_to_the_salon_itself_is_not_shown(owner: Client, salon: Company) -> None:
    assert salon.session is not None
    writes(salon, "note to myself", phone=salon.session.phone)
    Message.objects.create(
        session=salon.session,
        phone=salon.session.phone,
        source="support",
        external_id="access:1:2",
        text="https://x",
    )
    shown = page(owner, address(conversation()))
    assert "note to myself" in shown
    assert "https://x" not in shown


def test_older_messages_and_conversations_are_a_page_further(owner: Client, salon: Company) -> None:
    for number in range(62):
        writes(salon, f"number {number:02}", phone=IVAN)
    row = conversation()
    shown = page(owner, address(row))
    assert "number 02" in shown
    assert "number 01" not in shown
    before = re.search(r'\?before=(\d+)">Older', shown)
    assert before
    older = page(owner, f"{address(row)}?before={before[1]}")
    assert "number 01" in older
    assert "number 02" not in older
    for number in range(31):
        writes(salon, "hello", phone=f"799900001{number:02}")
    before = re.search(r'href="\?before=(\d+)">Older', page(owner))
    assert before
    assert page(owner, f"{LIST}?before={before[1]}").count("row-link") == 2


# --- forwarding ------------------------------------------------------------------------------------


def test_an_address_is_given_its_secret_shown_once_and_its_path_never(owner: Client) -> None:
    made = owner.post(
        f"{FORWARDING}/change", {"url": "https://bot.example.com/hook?token=t0p"}
    ).content.decode()
    row = Forwarding.objects.get()
    assert row.secret in made
    later = page(owner, FORWARDING)
    assert "bot.example.com" in later
    assert row.secret not in later
    assert "t0p" not in later + made
    renewed = owner.post(f"{FORWARDING}/secret").content.decode()
    assert Forwarding.objects.get().secret in renewed
    assert Forwarding.objects.get().secret != row.secret
    owner.post(f"{FORWARDING}/change", {"off": "1"})
    assert not Forwarding.objects.get().enabled
    events = MarketplaceEvent.objects.filter(event_type__startswith="forwarding_").order_by("pk")
    assert [(each.event_type, each.event_data["by"]) for each in events] == [
        ("forwarding_changed", "cabinet"),
        ("forwarding_secret_renewed", "cabinet"),
        ("forwarding_switched", "cabinet"),
    ]
    assert all("t0p" not in str(each.event_data) for each in events)


@pytest.mark.parametrize(
    "url",
    ["", "http://bot.example.com/", "https://127.0.0.1/", "https://a" + "b" * 2000 + ".com/", "file:///etc"],
)
def test_an_address_that_we_may_not_post_to_is_refused(owner: Client, url: str) -> None:
    shown = owner.post(f"{FORWARDING}/change", {"url": url}, follow=True).content.decode()
    assert 'data-tone="bad"' in shown
    assert not Forwarding.objects.exists()


def test_a_new_address_waits_for_support_where_that_is_the_rule(owner: Client, settings: Any) -> None:
    settings.FORWARDING_SECOND_APPROVER = True
    owner.post(f"{FORWARDING}/change", {"url": "https://bot.example.com/hook"})
    assert "Waits for support's approval: bot.example.com" in page(owner, FORWARDING)
    assert ForwardingChange.objects.get().state == "waiting"
    assert Forwarding.objects.get().url == ""


def test_a_delivery_that_was_given_up_is_tried_again(owner: Client, salon: Company, others: Company) -> None:
    def dead(company: Company) -> ForwardedMessage:
        row = Forwarding.objects.create(company=company, url="https://bot.example.com/", secret="s")
        return ForwardedMessage.objects.create(
            forwarding=row, event="session.changed", subject="1", state="dead", last_error="HTTP 500"
        )

    mine, theirs = dead(salon), dead(others)
    assert "HTTP 500" in page(owner, FORWARDING)
    owner.post(f"{FORWARDING}/{mine.pk}/retry")
    assert owner.post(f"{FORWARDING}/{theirs.pk}/retry").status_code == 404
    mine.refresh_from_db()
    theirs.refresh_from_db()
    assert (mine.state, theirs.state) == ("due", "dead")
    owner.post(f"{FORWARDING}/{mine.pk}/retry")  # is under way already
    [event] = MarketplaceEvent.objects.filter(event_type="forwarding_replayed")
    assert event.event_data == {"by": "cabinet", "delivery": str(mine.delivery_id)}


def test_a_test_event_is_sent_to_the_address_and_its_result_is_shown(
    owner: Client, salon: Company, settings: Any
) -> None:
    settings.WHATSAPP_SANDBOX = True
    rate_limits.forget()
    assert owner.post(f"{FORWARDING}/test").status_code == 404  # no address yet
    bot = Listener()
    row = Forwarding.objects.create(company=salon, url=f"{bot.url}/hook", secret="s")
    for _press in range(2):
        assert "on its way" in owner.post(f"{FORWARDING}/test", follow=True).content.decode()
    forwarding_queue.deliver(row.pk)
    [(_path, headers, body)] = bot.got
    said = json.loads(body)
    assert (said["event"], said["salon_id"], list(said["test"])) == ("test", 307626, ["at"])
    assert headers["X-Signature"].startswith("sha256=")
    assert "The address took the test" in page(owner, FORWARDING)
    bot.status = 500
    Forwarding.objects.update(paused_until=timezone.now() + timedelta(minutes=9))
    owner.post(f"{FORWARDING}/test")
    assert forwarding_queue.due(limit=9) == [row.pk]  # it does not wait until the address has rested
    forwarding_queue.deliver(row.pk)
    bot.close()
    shown = page(owner, FORWARDING)
    assert "did not take the test" in shown
    assert "HTTP 500" in shown
    assert not ForwardedMessage.objects.filter(state="due").exists()  # nor is it tried again
    events = MarketplaceEvent.objects.filter(event_type="forwarding_tested")
    assert [event.event_data for event in events] == [{"by": "cabinet"}] * 2


def test_a_test_event_is_not_held_up_by_messages_that_are_refused(
    owner: Client, salon: Company, settings: Any
) -> None:
    settings.WHATSAPP_SANDBOX = True
    rate_limits.forget()
    bot = Listener()
    row = Forwarding.objects.create(company=salon, url=f"{bot.url}/hook", secret="s")
    for number in range(5):
        ForwardedMessage.objects.create(forwarding=row, event="session.changed", subject=str(number))
    owner.post(f"{FORWARDING}/test")
    forwarding_queue.deliver(row.pk)
    bot.close()
    assert json.loads(bot.got[0][2])["event"] == "test"


def test_nobody_has_an_address_tested_all_day(owner: Client, salon: Company) -> None:
    rate_limits.forget()
    Forwarding.objects.create(company=salon, url="https://bot.example.com/", secret="s")
    for _press in range(25):
        shown = owner.post(f"{FORWARDING}/test", follow=True).content.decode()
        ForwardedMessage.objects.update(state="delivered")
    assert "Too many tests" in shown
    assert ForwardedMessage.objects.count() == 20
    Forwarding.objects.update(enabled=False)
    rate_limits.forget()
    assert "Nothing is forwarded" in owner.post(f"{FORWARDING}/test", follow=True).content.decode()


def test_a_delivery_whose_text_is_no_longer_kept_is_not_tried_again(owner: Client, salon: Company) -> None:
    target = Forwarding.objects.create(company=salon, url="https://bot.example.com/", secret="s")
    message = writes(salon, "Hello", phone=IVAN)
    row = ForwardedMessage.objects.create(forwarding=target, message=message, state="dead")
    Message.objects.filter(pk=message.pk).update(text="", phone="", pruned_at=timezone.now())
    shown = page(owner, FORWARDING)
    assert "its text was removed" in shown
    assert f"/{row.pk}/retry" not in shown
    told = owner.post(f"{FORWARDING}/{row.pk}/retry", follow=True).content.decode()
    assert "cannot be delivered" in told
    row.refresh_from_db()
    assert row.state == "dead"
    assert not MarketplaceEvent.objects.filter(event_type="forwarding_replayed").exists()
