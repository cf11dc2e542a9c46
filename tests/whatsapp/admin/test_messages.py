"""Messages for support staff: found, understood, acted on, exported; fast however many there are."""

import asyncio
import csv
import io
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import AsyncClient, Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from config.support_group import make_support_group
from marketplace.models import Company
from whatsapp.admin import long_lists
from whatsapp.models import Message, Pool, SendingLimits, Session, SessionEvent

pytestmark = pytest.mark.django_db
streamed = pytest.mark.django_db(transaction=True)  # the file is read in threads of its own

LIST = "/admin/whatsapp/message/"
PHONE, OTHER_PHONE = "79161234567", "79265550101"
CALLBACK = "https://yclients.com/statuses?token=partner-tok-77"


@pytest.fixture
def salon() -> SimpleNamespace:
    """A salon with one message of each kind that support asks about, and another salon with its own."""
    session = Session.objects.create(jid="7999:1@s.whatsapp.net", wanted="linked", status="connected")
    company = Company.objects.create(salon_id=307626, title="Лотос <b>", session=session)
    other = Session.objects.create(jid="7998:1@s.whatsapp.net", wanted="linked", status="reconnecting")
    Company.objects.create(salon_id=412870, title="Ромашка", session=other)
    now = timezone.now()
    failed = make(session, status="failed", error_code="refused", error="refused: bad", finished_at=now)
    dead = make(session, status="delivered", wa_message_id="W1", callback_state="dead", callback_url=CALLBACK,
                callback_error="HTTP 500", callback_attempts=41, reported=3,
                created_at=now - timedelta(minutes=1), sending_at=now, sent_at=now,
                delivered_at=now)  # fmt: skip
    waiting = make(other, phone=OTHER_PHONE, category="adds", priority=10)
    return SimpleNamespace(session=session, company=company, failed=failed, dead=dead, waiting=waiting)


def make(session: Session, **fields: Any) -> Message:
    given: dict[str, Any] = {"source": "operator", "phone": PHONE, "text": "Ждём вас в 10:00", **fields}
    name = f"307626:{Message.objects.count()}"
    return Message.objects.create(session=session, external_id=name, **given)


def staff(name: str) -> User:
    user = User.objects.create_user(name, is_staff=True)
    user.groups.add(make_support_group())
    return user


@pytest.fixture
def support() -> Client:
    client = Client()
    client.force_login(staff("anna"))
    return client


@pytest.fixture
def reader() -> Client:
    user = User.objects.create_user("rita", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    client = Client()
    client.force_login(user)
    return client


def found(client: Client, **query: str) -> set[int]:
    response = client.get(LIST, query)
    assert response.status_code == 200
    return {row.pk for row in response.context["cl"].result_list}


def page_of(client: Client, message: Message) -> str:
    response = client.get(f"{LIST}{message.pk}/change/")
    assert response.status_code == 200
    return response.content.decode()


@pytest.mark.parametrize(
    ("query", "names"),
    [
        (PHONE, {"failed", "dead"}),
        ("8 (916) 123-45-67", {"failed", "dead"}),
        ("+7 916 123 45 67", {"failed", "dead"}),
        ("4567", {"failed", "dead"}),
        ("550101", {"waiting"}),
        ("307626", {"failed", "dead"}),
        ("Лотос", {"failed", "dead"}),
        ("Ромаш", {"waiting"}),
        ("no such", set()),
        ("456", set()),
        ("9999", set()),
        ("99999999999999999999999", set()),
    ],
)
def test_messages_are_found_by_phone_its_end_and_salon(
    query: str, names: set[str], salon: SimpleNamespace, support: Client
) -> None:
    expected = {getattr(salon, name).pk for name in names}
    assert found(support, q=query) - {int(query) if query.isdecimal() else 0} == expected


def test_a_message_is_found_by_its_number_and_by_its_sessions_id(
    salon: SimpleNamespace, support: Client
) -> None:
    assert salon.waiting.pk in found(support, q=f"#{salon.waiting.pk}")
    assert found(support, q=str(salon.session.pk)[:8]) == {salon.failed.pk, salon.dead.pk}


def test_a_session_whose_id_begins_with_digits_alone_is_found_too(support: Client) -> None:
    session = Session.objects.create(pk="29684240-4bfb-4dce-833e-91990aa60050")
    message = Message.objects.create(session=session, phone="79995550101")
    assert found(support, q="29684240") == {message.pk}
    assert found(support, q="2968424") == set()


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"status__exact": "failed"}, {"failed"}),
        ({"callback_state__exact": "dead"}, {"dead"}),
        ({"category__exact": "adds"}, {"waiting"}),
        ({"source__exact": "operator"}, {"failed", "dead", "waiting"}),
        ({"created_at__gte": "2020-01-01 00:00:00Z"}, {"failed", "dead", "waiting"}),
    ],
)
def test_filters(query: dict[str, str], names: set[str], salon: SimpleNamespace, support: Client) -> None:
    assert found(support, **query) == {getattr(salon, name).pk for name in names}


def test_the_overview_counts_what_waits_and_what_went_wrong(salon: SimpleNamespace, support: Client) -> None:
    html = support.get("/admin/").content.decode()
    for query, number in (
        ("status__exact=queued", 1),
        ("status__exact=failed", 1),
        ("callback_state__exact=dead", 1),
    ):
        assert f'href="{LIST}?{query}">{number}</a>' in html, query


def test_pools_show_their_hosts_and_histories_the_host(salon: SimpleNamespace, support: Client) -> None:
    host = {"id": "host-7-1", "pid": 4242, "kind": "shard", "sessions": 3, "rss_bytes": 90 << 20,
            "threads": 18, "started_at": 1_700_000_000.0}  # fmt: skip
    Pool.objects.create(
        name="here:7:ab",
        heartbeat_at=timezone.now(),
        capacity=500,
        engine_hosts=[host],
        own_rss_bytes=60 << 20,
    )
    SessionEvent.objects.create(session=salon.session, kind="linked", pool="here:7:ab", host="host-7-1")
    pool = support.get("/admin/whatsapp/pool/here_3A7_3Aab/change/").content.decode()
    assert "host-7-1, pid 4242" in pool and "90 MiB" in pool and "60 MiB" in pool
    assert "host-7-1" in support.get(f"/admin/whatsapp/session/{salon.session.pk}/change/").content.decode()


def test_a_session_and_a_salon_lead_to_their_messages(salon: SimpleNamespace, support: Client) -> None:
    address = f"{LIST}?session__id__exact={salon.session.pk}"
    for page in (f"whatsapp/session/{salon.session.pk}", f"marketplace/company/{salon.company.pk}"):
        assert address in support.get(f"/admin/{page}/change/").content.decode()
    assert found(support, session__id__exact=str(salon.session.pk)) == {salon.failed.pk, salon.dead.pk}


def test_lists_mask_phones_and_no_page_shows_the_callback_address(
    salon: SimpleNamespace, support: Client
) -> None:
    html = support.get(LIST).content.decode()
    assert PHONE not in html and "7916*****67" in html
    assert "Лотос &lt;b&gt; (307626)" in html
    for page in (html, page_of(support, salon.dead)):
        assert "partner-tok" not in page and "gAAAA" not in page


def test_the_whole_number_and_text_are_for_those_who_may_act(
    salon: SimpleNamespace, support: Client, reader: Client
) -> None:
    Message.objects.filter(pk=salon.failed.pk).update(text=f"call {PHONE}")
    assert page_of(support, salon.failed).count(PHONE) == 2
    assert PHONE not in page_of(reader, salon.failed)
    assert "export" not in reader.get(LIST).content.decode()
    assert reader.get(f"{LIST}export/").status_code == 403


def test_one_messages_whole_story(salon: SimpleNamespace, support: Client) -> None:
    story = page_of(support, salon.dead)
    steps = ["принято", "передано WhatsApp, попытка 0", "принято сервером WhatsApp", "дошло до телефона"]
    places = [story.index(step, story.index("support-history")) for step in steps]
    assert places == sorted(places)
    assert "HTTP 500" in story and "8 передано оператору, 4 отправлено на телефон" in story
    failed = page_of(support, salon.failed)
    assert "WhatsApp отказался его принять." in failed and "refused: bad" in failed


def test_a_waiting_message_says_what_it_waits_for(salon: SimpleNamespace, support: Client) -> None:
    assert "состояние сессии" in page_of(support, salon.waiting)
    Session.objects.update(sending_paused=True)
    assert "Отправка приостановлена" in page_of(support, salon.waiting)
    Message.objects.filter(pk=salon.waiting.pk).update(not_before=timezone.now() + timedelta(hours=2))
    assert "Своего времени" in page_of(support, salon.waiting)


def operate(support: Client, name: str, message: Message) -> list[str]:
    address = f"{LIST}operate/{name}/"
    assert support.get(address, {"id": message.pk}).status_code == 200
    done = support.post(address, {"id": message.pk, "reason": "asked by phone"}, follow=True)
    message.refresh_from_db()
    return [each.level_tag for each in done.context["messages"]]


def test_a_failed_message_is_sent_again_once(salon: SimpleNamespace, support: Client) -> None:
    assert operate(support, "resend", salon.failed) == ["success"]
    copy = Message.objects.get(source="support")
    assert (copy.status, copy.phone, copy.text) == ("queued", PHONE, salon.failed.text)
    assert operate(support, "resend", salon.failed) == ["error"]
    assert operate(support, "resend", salon.dead) == ["error"]
    assert Message.objects.filter(source="support").count() == 1
    assert LogEntry.objects.get().object_id == str(salon.failed.pk)


def test_a_waiting_message_is_withdrawn(salon: SimpleNamespace, support: Client) -> None:
    assert operate(support, "withdraw", salon.waiting) == ["success"]
    assert (salon.waiting.status, salon.waiting.error_code) == ("failed", "withdrawn")
    assert salon.waiting.error == "support: anna: asked by phone"
    assert operate(support, "withdraw", salon.waiting) == ["error"]


def test_a_given_up_report_is_told_again(salon: SimpleNamespace, support: Client) -> None:
    assert operate(support, "retry-callback", salon.dead) == ["success"]
    assert (salon.dead.callback_state, salon.dead.callback_attempts) == ("due", 0)
    assert operate(support, "retry-callback", salon.dead) == ["error"]


def test_what_was_pruned_is_neither_sent_nor_told_again(salon: SimpleNamespace, support: Client) -> None:
    Message.objects.update(pruned_at=timezone.now(), text="", phone="", callback_url="")
    assert operate(support, "resend", salon.failed) == ["error"]
    assert operate(support, "retry-callback", salon.dead) == ["error"]
    assert "удалён по истечении срока" in page_of(support, salon.failed)


def test_long_lists_are_not_counted_to_their_end(
    salon: SimpleNamespace, support: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(long_lists, "MOST_COUNTED", 2)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        response = support.get(LIST)
    assert response.context["cl"].result_count == 3
    assert "Есть и другие" in response.content.decode()
    counting = [query["sql"] for query in queries if "COUNT(" in query["sql"]]
    assert counting and all("LIMIT 3" in sql for sql in counting)


async def export(user: User, query: str = "") -> tuple[list[list[str]], str]:
    client = AsyncClient()
    await client.aforce_login(user)
    response: Any = await client.post(f"{LIST}export/{query}")
    assert response.status_code == 200
    content = b"".join([piece async for piece in response])
    assert content.startswith(b"\xef\xbb\xbf")
    return list(csv.reader(io.StringIO(content[3:].decode()), delimiter=";")), response["Content-Disposition"]


@streamed
async def test_the_export_holds_what_was_filtered_and_names_who_took_it(salon: SimpleNamespace) -> None:
    user = await asyncio.to_thread(staff, "boris")
    rows, disposition = await export(user, f"?q={PHONE}")
    assert disposition.startswith('attachment; filename="messages-')
    assert rows[0][:4] == ["номер", "салон", "направление", "телефон"]
    assert [row[0] for row in rows[1:]] == [str(salon.dead.pk), str(salon.failed.pk)]
    assert rows[1][1] == "Лотос <b> (307626)"
    assert not [cell for row in rows for cell in row if "partner-tok" in cell]
    entry = await LogEntry.objects.select_related("user").aget()
    assert entry.user.get_username() == "boris"
    assert PHONE not in entry.change_message


@streamed
async def test_the_export_goes_through_every_page(
    salon: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("whatsapp.admin.message_export.PAGE", 2)
    rows, _name = await export(await asyncio.to_thread(staff, "boris"))
    assert len(rows) == 4


def test_an_export_is_asked_for_first(salon: SimpleNamespace, support: Client) -> None:
    assert "export/?status__exact=failed" in support.get(f"{LIST}?status__exact=failed").content.decode()
    asked = support.get(f"{LIST}export/?status__exact=failed").content.decode()
    assert "Сообщений: 1." in asked
    assert LogEntry.objects.count() == 0
    assert support.get(f"{LIST}export/?session__qr__startswith=2").status_code == 400


def limits_of(support: Client, salon: SimpleNamespace, **fields: str) -> int:
    address = f"/admin/whatsapp/session/{salon.session.pk}/limits/"
    assert support.get(address).status_code == 200
    return support.post(address, {"paced": "on", **fields}).status_code


def test_sending_limits_are_set_on_the_sessions_page(salon: SimpleNamespace, support: Client) -> None:
    session_page = f"/admin/whatsapp/session/{salon.session.pk}/change/"
    assert "limits/" in support.get(session_page).content.decode()
    assert limits_of(support, salon, gap_seconds="2.5", burst="7", daily_cap="300", jitter="0.2",
                     timezone_name="Asia/Almaty", adds_from="10:00", adds_until="20:00") == 302  # fmt: skip
    row = SendingLimits.objects.get()
    assert (row.gap_seconds, row.burst, row.daily_cap, row.jitter) == (2.5, 7, 300, 0.2)
    event = SessionEvent.objects.get(kind="limits_changed")
    assert "anna" in event.detail and "gap_seconds=2.5" in event.detail
    assert LogEntry.objects.count() == 1
    shown = support.get(session_page).content.decode()
    assert "сообщение раз в 2.5 с" in shown and "не больше 300 в день" in shown


@pytest.mark.parametrize(
    "fields",
    [
        {"gap_seconds": "-1"}, {"gap_seconds": "90000"}, {"jitter": "1.5"}, {"burst": "0"},
        {"timezone_name": "Mars/Olympus"}, {"adds_from": "10:00"}, {"daily_cap": "many"},
    ],
)  # fmt: skip
def test_limits_that_make_no_sense_are_refused(
    fields: dict[str, str], salon: SimpleNamespace, support: Client
) -> None:
    assert limits_of(support, salon, **fields) == 200
    assert not SendingLimits.objects.exists()


def test_only_those_who_may_act_set_limits(salon: SimpleNamespace, reader: Client) -> None:
    assert reader.post(f"/admin/whatsapp/session/{salon.session.pk}/limits/", {}).status_code == 403
