"""Conversations: one for each client who wrote, with what is unread."""

import time
from itertools import count
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.whatsapp import outgoing
from whatsapp.engine.events import Incoming
from whatsapp.messages import conversations, inbox, message_queue, numbers
from whatsapp.models import Conversation, Message, Session

pytestmark = pytest.mark.django_db
IVAN, OLGA = "79990000000", "79990000001"
HIDDEN = "171229936301147@lid"
_ids = count(1)
# Messages and conversations of all sessions by turns; the first session's lie before all others'.
MANY_CONVERSATIONS = """
    WITH sessions AS (SELECT %s::uuid[] AS ids, %s::uuid AS silent), written AS (
        INSERT INTO whatsapp_message (session_id, direction, source, category, phone, lid, text, note, status,
            priority, not_before, attempts, failures, unknowns, error_code, error, wa_message_id,
            callback_url, callback_state, reported, callback_attempts, callback_error, created_at)
        SELECT CASE WHEN n <= 400 THEN silent ELSE ids[2 + n %% 39] END, 'in', 'inbound', 'service',
            '7900' || n, '', 'Hello', '', 'received', 0, now(), 0, 0, 0, '', '', 'W' || n, '', 'done', 0, 0,
            '', now()
        FROM generate_series(1, 16000) AS n, sessions RETURNING id, session_id, phone, created_at)
    INSERT INTO whatsapp_conversation
        (session_id, phone, lid, last_message_id, last_received, last_at, unread)
    SELECT session_id, phone, '', id, id, created_at, 0 FROM written
"""


@pytest.fixture
def session() -> Session:
    return linked("79990000900")


def linked(phone: str) -> Session:
    return Session.objects.create(
        status="connected", wanted="linked", jid=f"{phone}:1@s.whatsapp.net", phone=phone
    )


def writes(session: Session, text: str, phone: str | None = IVAN, lid: str | None = None) -> Message:
    wa_id = f"C{next(_ids)}"
    inbox.record_incoming(Incoming(str(session.pk), wa_id, phone, lid, text, None, time.time()))
    return Message.objects.get(session=session, wa_message_id=wa_id)


def sends(session: Session, text: str, phone: str = IVAN) -> Message:
    return message_queue.queue_message(session=session, message=outgoing.new(text, phone=phone))


def listed(session: Session, **more: Any) -> list[tuple[str, str, int]]:
    rows = conversations.newest_first(session=session, limit=more.pop("limit", 10), **more)
    return [(row.phone or row.lid, row.last_message.text, row.unread) for row in rows]


def texts(session: Session, phone: str = IVAN, **more: Any) -> list[str]:
    row = Conversation.objects.get(session=session, phone=phone)
    found = conversations.messages_of(row, limit=more.pop("limit", 10), **more)
    return [message.text for message in found]


def test_each_client_who_wrote_has_one_conversation_the_latest_first(session: Session) -> None:
    writes(session, "Есть время завтра?")
    writes(session, "Спасибо", OLGA)
    writes(session, "В пять?")
    assert listed(session) == [(IVAN, "В пять?", 2), (OLGA, "Спасибо", 1)]


def test_a_notification_neither_makes_a_conversation_nor_moves_one_up(session: Session) -> None:
    writes(session, "Есть время завтра?")
    writes(session, "Спасибо", OLGA)
    sends(session, "Ждём вас в пять")
    sends(session, "Ждём вас в шесть", "79990000002")
    assert [name for name, _text, _unread in listed(session)] == [OLGA, IVAN]
    assert texts(session) == ["Ждём вас в пять", "Есть время завтра?"]


def test_an_answer_moves_the_conversation_up(session: Session) -> None:
    writes(session, "Есть время завтра?")
    writes(session, "Спасибо", OLGA)
    row = Conversation.objects.get(phone=IVAN)
    conversations.record_answer(conversation=row, message=sends(session, "В пять"))
    assert listed(session)[0] == (IVAN, "В пять", 1)


def test_a_message_that_arrives_twice_is_unread_once(session: Session) -> None:
    event = Incoming(str(session.pk), "TWICE", IVAN, None, "Спасибо", None, time.time())
    assert [inbox.record_incoming(event), inbox.record_incoming(event)] == [True, False]
    conversations.record_received(Message.objects.get(wa_message_id="TWICE"))
    assert listed(session) == [(IVAN, "Спасибо", 1)]


def test_pages_of_conversations_and_messages_follow_each_other(session: Session) -> None:
    for number in range(5):
        writes(session, f"{number}", f"7999000010{number}")
    first = conversations.newest_first(session=session, limit=3)
    second = conversations.newest_first(session=session, before=first[-1].last_message_id, limit=3)
    assert [row.last_message.text for row in (*first, *second)] == ["4", "3", "2", "1", "0"]
    own = [writes(session, text) for text in "abcde"]
    assert texts(session, limit=2) == ["e", "d"]
    assert texts(session, before=own[3].pk) == ["c", "b", "a"]


@pytest.mark.skipif(connection.vendor != "postgresql", reason="asks PostgreSQL for its plan")
@pytest.mark.parametrize("before", [None, 2**62])
def test_the_list_of_a_session_that_is_silent_for_long_reads_none_of_the_others(before: int | None) -> None:
    sessions = [linked(f"799900009{number:02}") for number in range(40)]
    silent, *_others = sessions
    with connection.cursor() as cursor:
        cursor.execute(MANY_CONVERSATIONS, [[str(each.pk) for each in sessions], str(silent.pk)])
        cursor.execute("ANALYZE whatsapp_message")
        cursor.execute("ANALYZE whatsapp_conversation")
        with CaptureQueriesContext(connection) as captured:
            assert len(conversations.newest_first(session=silent, before=before, limit=30)) == 30
        [asked] = captured.captured_queries
        cursor.execute(f"EXPLAIN {asked['sql']}")
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "conversation_list" in plan, plan


def test_what_was_seen_is_read_and_what_came_since_is_not(session: Session) -> None:
    seen = writes(session, "Есть время завтра?")
    row = Conversation.objects.get()
    conversations.mark_read(row, up_to=seen.pk)
    assert conversations.unread_count(session) == 0
    writes(session, "В пять?")
    conversations.mark_read(row, up_to=seen.pk)
    assert (conversations.unread_count(session), listed(session)[0][2]) == (1, 1)


def test_another_sessions_conversation_with_the_same_client_is_its_own(session: Session) -> None:
    other = linked("79990000901")
    writes(session, "Есть время завтра?")
    writes(other, "Верните деньги")
    assert (listed(session), listed(other)) == (
        [(IVAN, "Есть время завтра?", 1)],
        [(IVAN, "Верните деньги", 1)],
    )
    assert (texts(session), texts(other)) == (["Есть время завтра?"], ["Верните деньги"])


def test_a_client_without_a_phone_has_a_conversation_that_gets_his_phone_later(session: Session) -> None:
    writes(session, "Можно перенести?", None, HIDDEN)
    assert listed(session) == [(HIDDEN, "Можно перенести?", 1)]
    assert texts(session, "") == ["Можно перенести?"]
    writes(session, "Это Иван", IVAN, HIDDEN)
    assert listed(session) == [(IVAN, "Это Иван", 2)]
    assert texts(session) == ["Это Иван", "Можно перенести?"]


def test_a_hidden_clients_conversation_is_joined_with_the_one_of_his_phone(session: Session) -> None:
    writes(session, "Есть время завтра?")
    writes(session, "Можно перенести?", None, HIDDEN)
    numbers.pair(phone=IVAN, lid=HIDDEN)
    conversations.name_client(session_id=session.pk, phone=IVAN, lid=HIDDEN)
    assert listed(session) == [(IVAN, "Можно перенести?", 2)]
    assert texts(session) == ["Можно перенести?", "Есть время завтра?"]
