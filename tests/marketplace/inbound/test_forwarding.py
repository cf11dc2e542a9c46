"""What clients write reaches the salon's own address: signed, in order, once for who knows its repeats."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import F
from django.utils import timezone
from structlog.testing import capture_logs

from marketplace.inbound import forwarding, forwarding_changes, forwarding_post
from marketplace.models import Company
from marketplace.models.forwarding import ForwardedMessage, Forwarding
from marketplace.yclients import safe_http
from tests.environment import ROOT
from tests.marketplace.clients import IVAN, work, writes
from tests.marketplace.listener import Listener
from tests.marketplace.salons_data import EKATERINBURG, MOSCOW, make_active
from whatsapp.models import Message

pytestmark = pytest.mark.django_db(transaction=True)
SECRET = "a-secret-of-the-tests"


@pytest.fixture
def bot(settings: Any) -> Iterator[Listener]:
    settings.WHATSAPP_SANDBOX = True
    server = Listener()
    yield server
    server.close()


@pytest.fixture
def moscow(bot: Listener) -> Company:
    company = make_active(MOSCOW)
    Forwarding.objects.create(company=company, url=f"{bot.url}/hook?token=very-secret", secret=SECRET)
    return company


def deliver() -> int:
    """Do what the worker would do now."""
    work()
    return sum(forwarding.deliver(pk) for pk in forwarding.due(limit=10))


def time_passes(**given: float) -> None:
    """Let waiting times run out: everything that lies ahead lies `given` nearer."""
    passed = timedelta(**given)
    ForwardedMessage.objects.update(next_attempt_at=F("next_attempt_at") - passed, since=F("since") - passed)
    for name in ("paused_until", "claimed_until"):
        Forwarding.objects.update(**{name: F(name) - passed})


def bodies(bot: Listener) -> list[dict[str, Any]]:
    return [json.loads(body) for _path, _headers, body in bot.got]


def texts(bot: Listener) -> list[str]:
    return [body["message"]["text"] for body in bodies(bot)]


def states() -> list[str]:
    return list(ForwardedMessage.objects.order_by("pk").values_list("state", flat=True))


# --- What arrives ---------------------------------------------------------------------------------


def test_a_message_arrives_with_who_wrote_what_when_to_whom(bot: Listener, moscow: Company) -> None:
    message = writes(moscow, "Есть время завтра?", lid="77@lid")
    assert deliver() == 1
    [(path, headers, raw)] = bot.got
    body = json.loads(raw)
    assert path == "/hook?token=very-secret"
    assert headers["Content-Type"] == "application/json"
    assert body == {
        "delivery_id": headers["X-Delivery-Id"],
        "event": "message.received",
        "salon_id": MOSCOW,
        "message": {
            "id": str(message.pk),
            "from": {"phone": IVAN, "lid": "77@lid"},
            "to": None,
            "text": "Есть время завтра?",
            "note": None,
            "media": None,
            "location": None,
            "sent_at": body["message"]["sent_at"],
            "received_at": message.created_at.isoformat(),
        },
    }
    assert states() == ["delivered"]


def test_a_receiver_that_checks_as_our_page_says_knows_us_from_others(bot: Listener, moscow: Company) -> None:
    page = (ROOT / "docs" / "forwarding.md").read_text()
    example: dict[str, Any] = {}
    exec(page.partition("```python\n")[2].partition("```")[0], example)  # noqa: S102  our own page
    is_ours = example["is_ours"]
    writes(moscow, "Привет")
    deliver()
    [(_path, headers, body)] = bot.got
    assert is_ours(SECRET, headers, body)
    assert not is_ours(SECRET, headers, body.replace(b"message", b"massage"))
    assert not is_ours("another secret", headers, body)
    assert not is_ours(SECRET, {**headers, "X-Timestamp": str(int(headers["X-Timestamp"]) + 1)}, body)
    assert not is_ours(SECRET, {**headers, "X-Timestamp": "soon"}, body)
    assert not is_ours(SECRET, {}, body)
    old = str(int(time.time()) - 400)
    signed = forwarding_post.signature(secret=SECRET, timestamp=old, body=body)
    assert not is_ours(SECRET, {"X-Timestamp": old, "X-Signature": signed}, body)


def test_an_opt_out_is_forwarded_too(bot: Listener, moscow: Company) -> None:
    writes(moscow, "СТОП")
    deliver()
    assert texts(bot) == ["СТОП"]


def test_messages_arrive_in_the_order_in_which_they_were_written(bot: Listener, moscow: Company) -> None:
    for number in range(5):
        writes(moscow, f"{number}")
    assert deliver() == 5
    assert texts(bot) == ["0", "1", "2", "3", "4"]


def test_only_active_salons_of_the_number_that_want_it_get_it(bot: Listener, moscow: Company) -> None:
    branch = make_active(EKATERINBURG, session=moscow.session)
    Forwarding.objects.create(company=branch, url=f"{bot.url}/branch", secret=SECRET)
    writes(moscow, "один")
    deliver()
    Company.objects.filter(pk=branch.pk).update(status="frozen")
    writes(moscow, "два")
    deliver()
    assert sorted(path for path, _headers, _body in bot.got) == [
        "/branch", "/hook?token=very-secret", "/hook?token=very-secret",
    ]  # fmt: skip


def test_without_a_forwarding_nothing_is_kept() -> None:
    company = make_active(MOSCOW)
    writes(company, "Привет")
    assert deliver() == 0
    assert not ForwardedMessage.objects.exists()


# --- Failures -------------------------------------------------------------------------------------


def test_a_receiver_that_is_down_gets_everything_later_in_order(bot: Listener, moscow: Company) -> None:
    bot.status = 503
    writes(moscow, "один")
    writes(moscow, "два")
    assert deliver() == 0
    assert len(bot.got) == 1  # it is left alone after its first word
    assert forwarding.due(limit=9) == []
    bot.status, bot.got = 200, []
    time_passes(minutes=5)
    assert deliver() == 2
    assert texts(bot) == ["один", "два"]
    row = Forwarding.objects.get()
    assert (row.failures, row.paused_until, row.last_error) == (0, None, "")


def test_a_repeat_bears_the_same_delivery_id_and_a_fresh_signature(bot: Listener, moscow: Company) -> None:
    bot.status = 500
    writes(moscow, "один")
    deliver()
    bot.status = 204
    time_passes(minutes=5)
    deliver()
    first, second = (headers["X-Delivery-Id"] for _path, headers, _body in bot.got)
    assert first == second
    assert states() == ["delivered"]


def test_one_message_that_the_receiver_chokes_on_does_not_hold_up_the_others(
    bot: Listener, moscow: Company
) -> None:
    bot.judge = lambda body: 500 if "плохое".encode() in body else 200
    for text in ("плохое", "хорошее", "и ещё"):
        writes(moscow, text)
    assert deliver() == 2
    assert states() == ["due", "delivered", "delivered"]


def test_a_message_at_which_we_fail_ourselves_does_not_hold_up_the_others(
    bot: Listener, moscow: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    signature = forwarding_post.signature

    def fails_once(**given: Any) -> str:
        if "плохое".encode() in given["body"]:
            raise RuntimeError("of no use")
        return signature(**given)

    monkeypatch.setattr(forwarding_post, "signature", fails_once)
    for text in ("плохое", "хорошее"):
        writes(moscow, text)
    assert deliver() == 1
    assert states() == ["due", "delivered"]
    assert "RuntimeError" in ForwardedMessage.objects.earliest("pk").last_error


def test_an_address_that_no_key_opens_is_shown_to_support_staff(bot: Listener, moscow: Company) -> None:
    writes(moscow, "один")
    work()
    [pk] = forwarding.due(limit=9)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE marketplace_forwarding SET url = 'damaged'")
    assert forwarding.deliver(pk) == 0
    row = Forwarding.objects.defer("url").get()
    assert row.last_error
    assert row.paused_until is not None


def test_a_receiver_that_refuses_message_after_message_is_left_alone(bot: Listener, moscow: Company) -> None:
    bot.status = 404
    for number in range(6):
        writes(moscow, f"{number}")
    deliver()
    assert len(bot.got) == forwarding.REFUSALS_IN_A_ROW
    assert Forwarding.objects.get().last_error == "HTTP 404"


def test_it_is_tried_for_a_day_and_then_given_up_and_can_be_replayed(bot: Listener, moscow: Company) -> None:
    bot.close()
    writes(moscow, "один")
    waited, tries = timedelta(), 0
    while states() in ([], ["due"]):
        deliver()
        tries += 1
        row, target = ForwardedMessage.objects.get(), Forwarding.objects.get()
        pause = max(row.next_attempt_at, target.paused_until or row.next_attempt_at) - timezone.now()
        time_passes(seconds=pause.total_seconds() + 1)
        waited += pause
        assert tries < 100
    assert timedelta(hours=23) < waited < timedelta(hours=26)
    assert tries > 20
    row = ForwardedMessage.objects.get()
    assert (row.state, row.last_error) == ("dead", "no connection (NewConnectionError)")
    assert forwarding.replay(forwarded=row, by="support: olga")
    assert not forwarding.replay(forwarded=row, by="support: olga")
    assert states() == ["due"]


def test_a_text_that_is_forgotten_before_its_delivery_is_given_up_and_not_posted_empty(
    bot: Listener, moscow: Company
) -> None:
    message = writes(moscow, "один")
    work()
    Message.objects.filter(pk=message.pk).update(text="", phone="", pruned_at=timezone.now())
    writes(moscow, "два")
    deliver()
    assert texts(bot) == ["два"]
    assert states() == ["dead", "delivered"]


def test_what_waited_behind_a_dead_receiver_for_a_day_is_given_up_with_it(
    bot: Listener, moscow: Company
) -> None:
    bot.close()
    for number in range(4):
        writes(moscow, f"{number}")
    deliver()
    time_passes(hours=25)
    deliver()
    assert states() == ["dead"] * 4


def test_a_switched_off_forwarding_sends_nothing_and_gives_up_what_waits(
    bot: Listener, moscow: Company
) -> None:
    bot.status = 500
    writes(moscow, "один")
    deliver()
    row = Forwarding.objects.get()
    forwarding_changes.set_address(forwarding=row, url=row.url, enabled=False)
    time_passes(minutes=5)
    writes(moscow, "два")
    deliver()
    assert (len(bot.got), states()) == (1, ["dead"])


# --- Workers ----------------------------------------------------------------------------------------


def test_several_workers_deliver_each_message_once(bot: Listener, moscow: Company) -> None:
    for number in range(20):
        writes(moscow, f"{number}")
    work()

    def deliver_in_thread(pk: int) -> int:
        try:
            return forwarding.deliver(pk)
        finally:
            connection.close()

    pk = Forwarding.objects.get().pk
    with ThreadPoolExecutor(4) as threads:
        delivered = sum(threads.map(deliver_in_thread, [pk] * 4))
    delivered += forwarding.deliver(pk)
    assert delivered == len(bot.got) == 20


def test_a_worker_that_died_after_its_post_repeats_the_same_delivery(
    bot: Listener, moscow: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes(moscow, "один")

    def dies(_row: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as dying:
        dying.setattr(forwarding, "_record_delivered", dies)
        with pytest.raises(KeyboardInterrupt):
            deliver()
    time_passes(minutes=5)
    deliver()
    assert states() == ["delivered"]
    assert len({headers["X-Delivery-Id"] for _path, headers, _body in bot.got}) == 1
    assert len(bot.got) == 2


# --- Where it may lead ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "http://bot.example.com/",
        "https://user@bot.example.com/",
        "ftp://bot.example.com/",
        "bot",
        "",
        "https://",
    ],
)
def test_an_address_that_is_not_plain_https_is_refused(settings: Any, url: str) -> None:
    settings.WHATSAPP_SANDBOX = False
    with pytest.raises(safe_http.AddressRefused):
        safe_http.check_public(url)


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost", "10.0.0.5", "169.254.169.254"])
def test_our_own_network_is_refused_outside_the_sandbox(
    settings: Any, bot: Listener, moscow: Company, host: str
) -> None:
    settings.WHATSAPP_SANDBOX = False
    Forwarding.objects.update(url=f"https://{host}:{bot.port}/")
    Forwarding.objects.get().save()  # encrypted
    writes(moscow, "один")
    deliver()
    assert bot.got == []
    assert "private network" in ForwardedMessage.objects.get().last_error


def test_a_name_that_leads_into_a_private_network_is_refused(settings: Any) -> None:
    settings.WHATSAPP_SANDBOX = False
    with pytest.raises(safe_http.AddressRefused):
        safe_http.post(
            "https://bot.example.com/",
            b"{}",
            allowed=safe_http.check_public,
            resolve=lambda _host, _port: ["93.184.216.34", "192.168.1.1"],
        )


def test_a_redirect_is_not_followed(bot: Listener, moscow: Company) -> None:
    bot.status, bot.headers = 302, {"Location": f"{bot.url}/elsewhere"}
    writes(moscow, "один")
    deliver()
    assert [path for path, _headers, _body in bot.got] == ["/hook?token=very-secret"]
    assert ForwardedMessage.objects.get().last_error == "HTTP 302"


def test_address_and_secret_are_never_logged_and_lie_encrypted(bot: Listener, moscow: Company) -> None:
    bot.status = 500
    with capture_logs() as lines:
        writes(moscow, "один")
        deliver()
        bot.close()
        time_passes(minutes=5)
        deliver()
    assert len(lines) >= 2
    assert not [line for line in lines if "very-secret" in str(line) or SECRET in str(line)]
    with connection.cursor() as cursor:
        cursor.execute("SELECT url, secret FROM marketplace_forwarding")
        assert "very-secret" not in str(row := cursor.fetchone())
        assert SECRET not in str(row)


def test_a_new_address_and_a_new_secret_hold_from_the_next_post_on(bot: Listener, moscow: Company) -> None:
    bot.status = 503
    writes(moscow, "один")
    deliver()
    row = Forwarding.objects.get()
    forwarding_changes.set_address(forwarding=row, url=f"{bot.url}/new", enabled=True)
    secret = forwarding_changes.renew_secret(forwarding=row, by="cabinet")
    bot.status, bot.got = 200, []
    ForwardedMessage.objects.update(next_attempt_at=timezone.now())
    assert deliver() == 1
    [(path, headers, body)] = bot.got
    assert path == "/new"
    assert headers["X-Signature"] == forwarding_post.signature(
        secret=secret, timestamp=headers["X-Timestamp"], body=body
    )


def test_secrets_are_long_and_never_the_same() -> None:
    assert len({forwarding_post.new_secret() for _ in range(100)}) == 100
    assert len(forwarding_post.new_secret()) == 64
