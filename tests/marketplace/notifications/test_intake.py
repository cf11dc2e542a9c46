"""The operator's url: who may send, what is kept, how it is answered."""

import asyncio
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from django.db import OperationalError, connection, transaction
from django.utils import timezone
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from config.shared import hints
from config.shared.endpoints import IngestRequest
from config.shared.loop_connections import conninfo
from marketplace.models import Company
from marketplace.notifications import format, intake, quota, store
from tests import ingest_client
from tests.environment import PARTNER_TOKEN
from tests.ingest_client import Reply
from tests.marketplace.salons_data import ALMATY, EKATERINBURG, MOSCOW, make_active
from tests.processes import wait_until
from whatsapp.messages import message_queue
from whatsapp.models import Message, SendingLimits, Session

pytestmark = pytest.mark.django_db(transaction=True)
on_postgresql = pytest.mark.skipif("connection.vendor == 'sqlite'", reason="SQLite takes a transaction")
OPERATOR_URL = "/yclients/messages/"
KEY = f"api_key-of-{MOSCOW}"
CALLBACK = "http://127.0.0.1:9/api/v1/sms/delivery/secret-token"


def post(body: Any, *, key: str | None = KEY, url: str = OPERATOR_URL, **headers: str) -> Reply:
    if key is not None:
        headers["Authorization"] = f"Bearer {key}"
    return ingest_client.post(url, body, headers=headers)


def request(*targets: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A request as YClients documents it."""
    return {
        "destination_params": list(targets) or [{"id": "n1", "phone": "79990000000"}],
        "from": "Salon",
        "text": "Ждём вас завтра в 12:00",
        "channel": "whatsapp",
        "dispatch_type": "service",
        "delivery_callback_url": CALLBACK,
        **changes,
    }


def ingest_request(body: Any, *, key: str = KEY) -> IngestRequest:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return IngestRequest(raw, authorization=f"Bearer {key}")


def codes(response: Reply) -> list[int | None]:
    return [row.get("error_code") for row in response.json()]


def kept() -> list[Message]:
    return list(Message.objects.order_by("pk"))


# --- Who may send ---------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [None, "", "forged", KEY.upper(), "api_key-of-0", "\udcff", "ключ"])
def test_a_missing_or_wrong_key_is_refused_whatever_the_body(key: str | None) -> None:
    make_active()
    for body in (request(), b"not json"):
        response = post(body, key=key)
        assert (response.status_code, codes(response)) == (401, [20])
    assert kept() == []


def test_other_schemes_than_bearer_are_refused() -> None:
    make_active()
    for header in (KEY, f"Basic {KEY}", "Bearer", f"Token {KEY}"):
        assert post(request(), key=None, Authorization=header).status_code == 401
    assert post(request(), key=None, Authorization=f"bearer  {KEY}").status_code == 200


def test_the_key_of_an_uninstalled_salon_is_worth_nothing() -> None:
    company = make_active()
    Company.objects.filter(pk=company.pk).update(
        status="uninstalled", api_key="", api_key_digest=None, session=None
    )
    assert codes(post(request())) == [20]


def test_a_key_sends_for_its_own_salon_only() -> None:
    make_active()
    make_active(ALMATY)
    response = post(request(salon_id=ALMATY))
    assert (response.status_code, codes(response)) == (403, [15])
    assert post(request(salon_id=MOSCOW)).status_code == 200
    assert [message.external_id for message in kept()] == [f"{MOSCOW}:n1"]


@pytest.mark.parametrize("name", ["salon_id", "company_id"])
def test_the_partner_token_sends_for_the_salon_that_is_named(name: str) -> None:
    company = make_active()
    assert post(request(**{name: str(MOSCOW)}), key=PARTNER_TOKEN).status_code == 200
    assert kept()[0].session_id == company.session_id


def test_the_partner_token_without_a_salon_is_refused() -> None:
    make_active()
    response = post(request(), key=PARTNER_TOKEN)
    assert (response.status_code, codes(response)) == (401, [20])


def test_the_partner_token_may_name_a_salon_for_each_message() -> None:
    make_active()
    make_active(ALMATY, phone="77010000001")
    targets = [
        {"id": 1, "phone": "8 701 123 45 67", "salon_id": ALMATY},
        {"id": 2, "phone": "89990000000", "salon_id": MOSCOW},
        {"id": 3, "phone": "89990000000", "salon_id": EKATERINBURG},
        {"id": 4, "phone": "89990000000"},
    ]
    assert codes(post(request(*targets), key=PARTNER_TOKEN)) == [None, None, 30, 20]
    assert {message.external_id: message.phone for message in kept()} == {
        f"{ALMATY}:1": "77011234567",
        f"{MOSCOW}:2": "79990000000",
    }


@pytest.mark.parametrize("token", ["", "test_token_waiting_for_real"])
def test_a_placeholder_is_no_partner_token(settings: Any, token: str) -> None:
    make_active()
    settings.YCLIENTS_PARTNER_TOKEN = token
    assert codes(post(request(salon_id=MOSCOW), key=token)) == [20]


@pytest.mark.parametrize(
    ("status", "http_status", "code"),
    [("frozen", 200, 32), ("pending_whatsapp", 404, 30), ("activation_failed", 404, 30)],
)
def test_a_salon_that_is_not_served_is_told_so(status: str, http_status: int, code: int) -> None:
    company = make_active()
    Company.objects.filter(pk=company.pk).update(status=status)
    response = post(request())
    assert (response.status_code, codes(response), kept()) == (http_status, [code], [])


def test_a_salon_that_is_being_activated_is_served() -> None:
    company = make_active()
    Company.objects.filter(pk=company.pk).update(status="activating")
    assert post(request()).status_code == 200


# --- What is kept ---------------------------------------------------------------------------------


def test_a_notification_waits_in_the_queue_with_all_it_needs() -> None:
    company = make_active()
    before = timezone.now()
    response = post(request(), Accept="application/vnd.yclients.v2+json")
    message = kept()[0]
    assert (response.status_code, response.json()) == (200, [{"id": "n1", "ext_id": str(message.pk)}])
    assert (message.session_id, message.source, message.status) == (company.session_id, "operator", "queued")
    assert (message.phone, message.text) == ("79990000000", "Ждём вас завтра в 12:00")
    assert (message.category, message.callback_url, message.callback_state) == ("service", CALLBACK, "due")
    assert message.expires_at is not None
    assert timedelta(hours=2, minutes=59) < message.expires_at - before < timedelta(hours=3, minutes=1)


def test_the_callback_address_is_encrypted_and_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    make_active()
    post(request())
    with connection.cursor() as cursor:
        cursor.execute("SELECT callback_url FROM whatsapp_message")
        assert "secret-token" not in cursor.fetchone()[0]
    assert "secret-token" not in caplog.text


def test_without_a_callback_address_nobody_is_told() -> None:
    make_active()
    assert post(request(delivery_callback_url=None)).status_code == 200
    assert kept()[0].callback_state == "none"


@pytest.mark.parametrize(
    ("now", "not_before"),
    [
        (datetime(2026, 3, 2, 12, tzinfo=UTC), None),
        (datetime(2026, 3, 2, 18, tzinfo=UTC), datetime(2026, 3, 3, 4, tzinfo=UTC)),
        (datetime(2026, 3, 2, 1, tzinfo=UTC), datetime(2026, 3, 2, 4, tzinfo=UTC)),
    ],
)
def test_advertising_waits_for_the_day_at_the_salon(
    now: datetime, not_before: datetime | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    company = make_active(timezone_name="Asia/Yekaterinburg")  # UTC+5: the day is from 4:00 to 16:00 UTC
    monkeypatch.setattr("django.utils.timezone.now", lambda: now)
    assert post(request(dispatch_type="adds")).status_code == 200
    message = kept()[0]
    assert (message.category, message.not_before) == ("adds", not_before or now)
    assert message.expires_at == now + timedelta(hours=24)
    assert SendingLimits.objects.get(session=company.session_id).timezone_name == "Asia/Yekaterinburg"


def test_a_thousand_messages_are_taken_in_one_transaction(django_assert_max_num_queries: Any) -> None:
    make_active()
    targets = [{"id": number, "phone": f"7999{number:07d}"} for number in range(1000)]
    # SQLite takes them in pieces, because it allows few parameters in one statement.
    with django_assert_max_num_queries(16 if connection.vendor == "postgresql" else 60):
        [answer] = intake.handle([ingest_request(request(*targets))])
    response = json.loads(answer.content)
    assert [row["id"] for row in response] == [str(number) for number in range(1000)]
    rows = kept()
    assert [row["ext_id"] for row in response] == [str(message.pk) for message in rows]
    assert [message.external_id for message in rows] == [f"{MOSCOW}:{number}" for number in range(1000)]


def test_one_message_takes_few_queries(django_assert_max_num_queries: Any) -> None:
    make_active()
    # PostgreSQL: the keys, the queue, the insertion.
    with django_assert_max_num_queries(3 if connection.vendor == "postgresql" else 10):
        intake.handle([ingest_request(request())])
    assert len(kept()) == 1


@on_postgresql
@pytest.mark.parametrize(
    "change",
    [
        {"status": "frozen"},
        {"status": "uninstalled", "api_key": "", "api_key_digest": None, "session": None},
    ],
)
def test_a_salon_that_changes_after_its_key_was_found_is_looked_at_again(
    change: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_active()

    def meanwhile(_planned: Any) -> bool:
        Company.objects.filter(salon_id=MOSCOW).update(**change)
        return True

    monkeypatch.setattr(quota, "fits_easily", meanwhile)
    [answer] = intake.handle([ingest_request(request())])
    assert [row.get("error_code") for row in json.loads(answer.content)] == [
        32 if change["status"] == "frozen" else 30
    ]
    assert kept() == []


@on_postgresql
def test_a_device_that_is_lost_after_the_key_was_found_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    company = make_active()

    def meanwhile(_planned: Any) -> bool:
        Session.objects.filter(companies=company).update(jid="", status="logged_out")
        return True

    monkeypatch.setattr(quota, "fits_easily", meanwhile)
    intake.handle([ingest_request(request())])
    assert [(message.status, message.error_code) for message in kept()] == [("failed", "session_unlinked")]


@on_postgresql
def test_a_freeze_that_is_not_committed_yet_is_waited_for() -> None:
    make_active()

    def send() -> list[int | None]:
        try:
            [answer] = intake.handle([ingest_request(request())])
            return [row.get("error_code") for row in json.loads(answer.content)]
        finally:
            connection.close()

    def waits() -> bool:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
            return bool(cursor.fetchone()[0])

    with ThreadPoolExecutor(1) as threads:
        with transaction.atomic():
            Company.objects.filter(salon_id=MOSCOW).update(status="frozen")
            answer = threads.submit(send)
            wait_until(waits, "the insertion waits for the freeze")
        assert answer.result(30) == [32]
    assert kept() == []


@on_postgresql
def test_a_repeat_among_new_ones_has_its_number_and_all_of_them_alone_too() -> None:
    make_active()
    [first] = json.loads(intake.handle([ingest_request(request())])[0].content)
    both = request({"id": "n2", "phone": "79990000000"}, {"id": "n1", "phone": "79990000000"})
    for _again in range(2):
        new, repeat = json.loads(intake.handle([ingest_request(both)])[0].content)
        assert repeat == first
        assert new["ext_id"] == str(kept()[1].pk)
    assert len(kept()) == 2


@on_postgresql
def test_pools_and_workers_are_woken_by_the_insertion() -> None:
    make_active()
    with psycopg.connect(conninfo(), autocommit=True) as listener:
        for channel in (hints.POOLS, hints.WORKERS):
            listener.execute(f"LISTEN {channel}")
        intake.handle([ingest_request(request())])
        heard = {one.channel for one in listener.notifies(timeout=10, stop_after=2)}
    assert heard == {hints.POOLS, hints.WORKERS}


def test_nothing_is_kept_when_one_salon_of_the_request_cannot_be(monkeypatch: pytest.MonkeyPatch) -> None:
    make_active()
    make_active(ALMATY)

    def fails_afterwards(messages: Any) -> Any:
        assert len(queue(messages)) == 2
        raise OperationalError("server closed the connection")

    queue = message_queue.queue_for_sessions
    monkeypatch.setattr(message_queue, "queue_for_sessions", fails_afterwards)
    targets = [{"id": 1, "phone": "79990000001", "salon_id": MOSCOW}]
    targets += [{"id": 2, "phone": "79990000002", "salon_id": ALMATY}]
    response = post(request(*targets, dispatch_type="adds"), key=PARTNER_TOKEN)
    assert (response.status_code, response.headers["retry-after"], kept()) == (503, "5", [])


def test_a_database_that_is_away_is_answered_with_503(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(_requests: Any) -> Any:
        raise OperationalError("could not connect")

    make_active()
    monkeypatch.setattr(store, "store_all", away)
    assert post(request()).status_code == 503


def test_requests_that_come_together_are_each_answered_for_themselves(settings: Any) -> None:
    make_active()
    make_active(ALMATY)
    settings.SALON_QUEUE_LIMIT = 2
    several = [{"id": number, "phone": "79990000000"} for number in range(3)]
    answers = intake.handle(
        [
            ingest_request(request()),
            ingest_request(request(), key="forged"),
            ingest_request(b"no json"),
            ingest_request(request(*several)),  # more than the salon may have waiting
            ingest_request(request(), key=f"api_key-of-{ALMATY}"),
            ingest_request(request(text="again")),
            ingest_request(request({"id": "n1", "phone": "12"})),
        ]
    )
    assert [answer.status for answer in answers] == [200, 401, 400, 429, 200, 200, 400]
    assert answers[0].content == answers[5].content != answers[4].content
    assert [message.external_id for message in kept()] == [f"{MOSCOW}:n1", f"{ALMATY}:n1"]


@pytest.mark.skipif("connection.vendor == 'sqlite'", reason="SQLite takes texts of any length")
def test_one_that_the_database_does_not_take_fails_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    make_active()
    monkeypatch.setattr(format, "MAX_ID", 1000)
    bodies = [request({"id": name, "phone": "79990000000"}) for name in ("a", "b" * 500, "c")]
    answers = intake.handle([ingest_request(body) for body in bodies])
    assert [answer.status for answer in answers] == [200, 503, 200]
    assert [message.external_id for message in kept()] == [f"{MOSCOW}:a", f"{MOSCOW}:c"]


# --- Repeats --------------------------------------------------------------------------------------


def test_a_repeat_has_the_same_ext_id_and_sends_nothing() -> None:
    make_active()
    first, second = post(request()), post(request(text="Другой текст"))
    assert first.json() == second.json()
    assert [message.text for message in kept()] == ["Ждём вас завтра в 12:00"]


def test_a_repeat_within_one_request_is_answered_alike() -> None:
    make_active()
    targets = [{"id": "a", "phone": "79990000001"}, {"id": "b", "phone": "79990000002"}]
    rows = post(request(*targets, targets[0])).json()
    assert rows[0] == rows[2] != rows[1]
    assert len(kept()) == 2


def test_a_repeat_of_what_was_refused_is_read_anew() -> None:
    make_active()
    assert codes(post(request({"id": "a", "phone": "0"}))) == [10]
    assert codes(post(request({"id": "a", "phone": "79990000001"}))) == [None]


def test_a_number_and_its_text_are_the_same_id() -> None:
    make_active()
    first = post(request({"id": 17, "phone": "79990000001"}))
    second = post(request({"message_id": "17", "to": 79990000001}))
    assert first.json() == second.json() == [{"id": "17", "ext_id": str(kept()[0].pk)}]


def test_the_same_id_of_two_salons_on_one_number_is_two_messages() -> None:
    company = make_active()
    make_active(EKATERINBURG, session=company.session)
    first = post(request())
    second = post(request(), key=f"api_key-of-{EKATERINBURG}")
    assert first.json() != second.json()
    assert len(kept()) == 2


def test_requests_at_the_same_moment_take_each_message_once() -> None:
    make_active()
    targets = [{"id": number, "phone": f"7999{number:07d}"} for number in range(40)]
    together = threading.Barrier(4)

    def send(turned: bool) -> dict[str, str]:
        together.wait(10)
        try:
            rows = post(request(*(reversed(targets) if turned else targets))).json()
            return {row["id"]: row["ext_id"] for row in rows}
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(send, [False, True, False, True]))
    assert answers[0] == answers[1] == answers[2] == answers[3]
    assert len(kept()) == 40


# --- Answers --------------------------------------------------------------------------------------


def test_refused_messages_of_a_batch_are_answered_in_place() -> None:
    make_active()
    targets = [
        {"id": "a", "phone": "79990000001"},
        {"id": "b", "phone": "12"},
        {"phone": "79990000002"},
        "nonsense",
        {"id": "e", "phone_number": "+7 999 000-00-03"},
    ]
    response = post(request(*targets))  # type: ignore[arg-type]
    assert (response.status_code, codes(response)) == (200, [None, 10, 10, 10, None])
    assert [row["id"] for row in response.json()] == ["a", "b", "", "", "e"]
    assert all(row.get("error_message") for row in response.json() if "error_code" in row)


def test_an_invalid_message_that_is_alone_gives_its_status_to_the_answer() -> None:
    make_active()
    response = post(request({"id": "a", "phone": "12"}))
    assert (response.status_code, response.json()[0]["id"], codes(response)) == (400, "a", [10])


@pytest.mark.parametrize(
    "body", [b"", b"{", b"null", b"5", b'"text"', b"[]", b"{}", b"\xff\xfe", b"[" * 100_000, b'{"text":"x"}']
)
def test_a_body_that_holds_no_messages_is_code_5(body: bytes) -> None:
    make_active()
    response = post(body)
    assert (response.status_code, codes(response)) == (400, [5])


def test_too_many_messages_or_bytes_are_refused_as_a_whole() -> None:
    make_active()
    many = [{"id": number, "phone": "79990000001"} for number in range(format.MAX_MESSAGES + 1)]
    assert codes(post(request(*many))) == [5]
    response = post(b" " * (format.MAX_BYTES + 1))
    assert (response.status_code, codes(response), kept()) == (413, [5], [])


def test_the_address_without_its_last_slash_works_and_get_does_not() -> None:
    make_active()
    assert post(request(), url="/yclients/messages").status_code == 200
    assert asyncio.run(ingest_client.ask(OPERATOR_URL, method="GET")).status_code == 405


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/x",
        "http://169.254.169.254/latest/meta-data",
        "https://api.yclients.com@evil.example/",
        "https://api.yclients.com:8443/",
        "http://127.0.0.1:9@evil.example/",
        "http://127.0.0.1:10/x",
        "file:///etc/passwd",
        5,
        ["http://127.0.0.1:9/"],
    ],
)
def test_a_callback_elsewhere_is_refused_at_once(url: Any) -> None:
    make_active()
    response = post(request(delivery_callback_url=url))
    assert (response.status_code, codes(response), kept()) == (400, [10], [])
    assert "evil" not in response.content.decode()


def test_messages_are_counted_by_outcome() -> None:
    def counted(outcome: str) -> float:
        labels = {"outcome": outcome}
        return REGISTRY.get_sample_value("marketplace_operator_messages_total", labels) or 0

    make_active()
    stored, refused = counted("stored"), counted("10")
    post(request({"id": "a", "phone": "79990000001"}, {"id": "b", "phone": "12"}))
    assert (counted("stored"), counted("10")) == (stored + 1, refused + 1)


# --- Anything at all ------------------------------------------------------------------------------

names = st.sampled_from(
    ["destination_params", "id", "message_id", "phone", "to", "text", "channel", "dispatch_type",
     "delivery_callback_url", "salon_id", "company_id", "from"]
)  # fmt: skip
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=()))
    | st.sampled_from(["79990000001", "+7 999", "whatsapp", "adds", CALLBACK, "https://[::1", MOSCOW])
)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names | st.text(), inner),
    max_leaves=12,
)


@given(body=anything | st.fixed_dictionaries({"destination_params": anything, "text": anything}))
@hypothesis_settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_json_is_answered_in_an_orderly_way(body: Any) -> None:
    if not Company.objects.filter(salon_id=MOSCOW).exists():
        make_active()
    response = post(body)
    assert response.status_code in (200, 400, 403)
    assert isinstance(response.json(), list)
    assert all("ext_id" in row or row["error_code"] in (5, 10, 15) for row in response.json())
