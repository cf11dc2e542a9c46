"""A notification from YClients to the client's phone and back, and what happens when something breaks."""

import itertools
import os
import signal
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.deployments import Deployment
from tests.linking import is_active, link_salon
from tests.pictures import png
from tests.processes import wait_until

SALON, SALON_PHONE = 501, "79990001100"
TEXT = (
    "Здравствуйте, Ирина! 💇‍♀️\nЖдём вас завтра в 12:10 — «Стрижка» у Анны.\n\n"
    "Адрес: ул. Ленина, 5 <вход со двора> & 100 % уюта"
)
PRICE = {"payment_sum": 0, "currency_iso": "RUB", "parts_amount": 1}
NOTHING = {"payment_sum": None, "currency_iso": None, "parts_amount": None}
_phones = itertools.count(79991000001)


@pytest.fixture(scope="package")
def linked(deployment: Deployment) -> Deployment:
    """One linked salon for all tests of this file."""
    deployment.start()
    link_salon(deployment, salon=SALON, phone=SALON_PHONE)
    return deployment


@pytest.fixture
def system(system: Deployment, linked: Deployment) -> Deployment:
    """The linked salon, its line up."""
    wait_until(lambda: is_active(system, SALON), "the line is up")
    return system


def new_client(system: Deployment, **how: Any) -> str:
    """The number of a client who has WhatsApp on a phone of their own."""
    phone = str(next(_phones))
    system.whatsapp.add_phone(phone, "Ирина", **how)
    return phone


def inbox(system: Deployment, phone: str) -> list[str]:
    """What the client can read on the phone."""
    return [message["text"] for message in system.whatsapp.phone(phone)["inbox"]]


def statuses_at_yclients(system: Deployment, notification: Any) -> list[int]:
    """The statuses that YClients has received, in order."""
    return [entry["status"] for entry in system.yclients.notification(notification["id"])["statuses"]]


def wait_for_statuses(system: Deployment, notification: Any, expected: list[int]) -> None:
    wait_until(
        lambda: statuses_at_yclients(system, notification) == expected,
        f"YClients received {expected}",
        why=lambda: f"{statuses_at_yclients(system, notification)} {row(system, notification)}",
    )


def row(system: Deployment, notification: Any) -> dict[str, Any]:
    """How the message stands in the database."""
    columns = ("status", "error_code", "attempts", "unknowns")
    statement = f"SELECT {', '.join(columns)} FROM whatsapp_message WHERE id = %s"  # noqa: S608
    return dict(zip(columns, system.query(statement, int(notification["ext_id"]))[0], strict=True))


def wait_for_status(system: Deployment, notification: Any, status: str) -> None:
    wait_until(lambda: row(system, notification)["status"] == status, f"the message is {status}")


def test_a_notification_reaches_the_client_and_its_ticks_reach_yclients(system: Deployment) -> None:
    irina, oleg = new_client(system), new_client(system)
    batch = system.yclients.notify(SALON, TEXT, irina, f"+7 ({oleg[1:4]}) {oleg[4:7]}-{oleg[7:]}")
    single = system.yclients.notify(SALON, "До встречи!", irina, shape={"as_object": True})[0]
    for one in (*batch, single):
        assert (one["http_status"], one["error_code"]) == (200, None)
        wait_for_statuses(system, one, [8, 4, 1])
        assert row(system, one)["status"] == "delivered"
    assert inbox(system, irina) == [TEXT, "До встречи!"]
    assert inbox(system, oleg) == [TEXT]
    handed, sent, delivered = system.yclients.notification(single["id"])["statuses"]
    assert {**handed, "at": ""} == {"at": "", "status": 8, **PRICE}
    assert {**sent, "at": ""} == {"at": "", "status": 4, **NOTHING}
    assert {**delivered, "at": ""} == {"at": "", "status": 1, **PRICE}
    system.whatsapp.read(irina)
    wait_for_status(system, single, "read")
    assert statuses_at_yclients(system, single) == [8, 4, 1]


def test_a_repeated_request_reaches_the_client_once(system: Deployment) -> None:
    irina, own_id = new_client(system), uuid.uuid4().hex
    first, second = (
        system.yclients.notify(SALON, TEXT, destinations=[{"phone": irina, "id": own_id}])[0]
        for _ in range(2)
    )
    assert first["ext_id"] == second["ext_id"]
    wait_for_statuses(system, first, [8, 4, 1])
    assert inbox(system, irina) == [TEXT]


def test_a_number_without_whatsapp_is_said_at_once(system: Deployment) -> None:
    nobody = new_client(system, registered=False)
    one = system.yclients.notify(SALON, TEXT, nobody)[0]
    wait_for_statuses(system, one, [8, 2])
    assert row(system, one) == {
        "status": "failed",
        "error_code": "not_on_whatsapp",
        "attempts": 0,
        "unknowns": 0,
    }


def test_a_message_waits_while_the_line_is_down(system: Deployment) -> None:
    irina = new_client(system)
    system.whatsapp.fault("refuse")
    system.whatsapp.fault("drop", SALON_PHONE)
    wait_until(lambda: not is_active(system, SALON), "the salon is seen off line")
    one = system.yclients.notify(SALON, TEXT, irina)[0]
    wait_for_statuses(system, one, [8])
    assert row(system, one)["status"] == "queued"
    system.whatsapp.fault("clear")
    wait_for_statuses(system, one, [8, 4, 1])
    assert inbox(system, irina) == [TEXT]


def test_a_host_killed_while_it_sends_leads_to_one_more_try(system: Deployment) -> None:
    irina = new_client(system)
    before = system.yclients.notify(SALON, "Первое", irina)[0]
    wait_for_statuses(system, before, [8, 4, 1])
    system.whatsapp.fault("slow", SALON_PHONE, seconds=20)  # the acknowledgement is held back
    one = system.yclients.notify(SALON, TEXT, irina)[0]
    wait_until(lambda: inbox(system, irina) == ["Первое", TEXT], "the phone has it")
    assert row(system, one)["status"] == "sending"
    kill_hosts(system)
    system.whatsapp.fault("clear")
    wait_for_statuses(system, one, [8, 4, 1])
    assert row(system, one) == {"status": "delivered", "error_code": "", "attempts": 2, "unknowns": 1}
    assert inbox(system, irina) == ["Первое", TEXT, TEXT]


def test_what_a_client_writes_is_stored(system: Deployment) -> None:
    irina = new_client(system)
    system.whatsapp.send(irina, SALON_PHONE, "Можно перенести на час? 🙏\nСпасибо")
    statement = "SELECT direction, text, status FROM whatsapp_message WHERE phone = %s"
    wait_until(lambda: bool(system.query(statement, irina)), "the message is stored")
    assert system.query(statement, irina) == [("in", "Можно перенести на час? 🙏\nСпасибо", "received")]


def test_the_salons_own_phone_shows_the_welcome_once(system: Deployment) -> None:
    def own_chat() -> list[str]:
        there = system.whatsapp.phone(SALON_PHONE)["inbox"]
        return [message["text"] for message in there if message["chat"] == SALON_PHONE]

    wait_until(lambda: bool(own_chat()), "the welcome is on the salon's phone")
    [text] = own_chat()
    assert text.startswith("Здравствуйте! WhatsApp подключён к YClients: Салон Анны.")
    # The phone's receipt for its own account's message says nothing of a client, so it stays "sent".
    statement = (
        "SELECT m.status FROM whatsapp_message m JOIN marketplace_company c ON c.session_id = m.session_id"
        " WHERE m.source = 'welcome' AND c.salon_id = %s"
    )
    wait_until(lambda: system.query(statement, SALON) == [("sent",)], "WhatsApp's server has acknowledged it")


def test_a_client_who_writes_stop_gets_no_more_advertising_and_is_told_so(system: Deployment) -> None:
    irina = new_client(system)
    system.whatsapp.send(irina, SALON_PHONE, "Стоп!")
    wait_until(lambda: len(inbox(system, irina)) == 2, "the opt-out is confirmed")
    wait_for_statuses(
        system, system.yclients.notify(SALON, "Скидка!", irina, dispatch_type="adds")[0], [8, 16]
    )
    wait_for_statuses(system, system.yclients.notify(SALON, TEXT, irina)[0], [8, 4, 1])
    _own, confirmed, notified = inbox(system, irina)
    assert confirmed.startswith("Готово: рекламы")
    assert notified == TEXT


def test_what_a_dying_pool_has_not_read_is_not_lost(system: Deployment) -> None:
    irina = new_client(system)
    system.whatsapp.post(f"/phones/{irina}/online", online=False)
    one = system.yclients.notify(SALON, TEXT, irina)[0]
    wait_for_statuses(system, one, [8, 4])
    os.kill(system.processes["pool"].pid, signal.SIGSTOP)
    system.whatsapp.post(f"/phones/{irina}/online", online=True)
    words = system.whatsapp.send(irina, SALON_PHONE, "Я опоздаю")
    wait_until(lambda: confirmed(system, words["id"]), "the host has it")
    # The library confirms in a thread of its own, which may be ahead of the host's handler.
    wait_until(lambda: recorded(system, words["id"]), "the host has kept it")
    system.kill("pool")
    system.start("pool")
    wait_for_statuses(system, one, [8, 4, 1])
    statement = "SELECT text FROM whatsapp_message WHERE phone = %s AND direction = 'in'"
    wait_until(lambda: system.query(statement, irina) == [("Я опоздаю",)], "the answer is stored")


def test_a_file_that_a_killed_pool_was_fetching_is_fetched_by_the_next(system: Deployment) -> None:
    irina, picture = new_client(system), png(64, 48)
    ((others,),) = system.query("SELECT coalesce(max(id), 0) FROM whatsapp_mediafile")
    system.whatsapp.fault("media", fault="hang", times=1)
    system.whatsapp.send_file(irina, SALON_PHONE, "image", picture, mime="image/png", caption="Так хочу")
    columns = "SELECT state, claimed_until IS NOT NULL, size FROM whatsapp_mediafile WHERE id > %s"
    claimed = [("waiting", True, len(picture))]
    wait_until(lambda: system.query(columns, others) == claimed, "a pool fetches the file")
    system.kill("pool")
    assert system.query(columns, others) == claimed  # nobody gave it back
    # Three minutes are over.
    past = "'2026-01-01T00:00Z'"
    system.shell(f"from whatsapp.models import MediaFile; MediaFile.objects.update(claimed_until={past})")
    system.start("pool")
    kept = [("kept", False, len(picture))]
    wait_until(lambda: system.query(columns, others) == kept, "the file is kept")
    texts = "SELECT count(*) FROM whatsapp_message WHERE phone = %s AND text = 'Так хочу'"
    assert system.query(texts, irina) == [(1,)]


def confirmed(system: Deployment, message_id: str) -> bool:
    """Whether the salon's device has told WhatsApp that it has the message."""
    events = system.whatsapp.get("/journal")["events"]
    return any(event["kind"] == "companion_receipt" and event["id"] == message_id for event in events)


def recorded(system: Deployment, message_id: str) -> bool:
    """Whether an engine host has the message in the file of its last events."""
    return any(message_id.encode() in path.read_bytes() for path in system.folder.rglob("*-said"))


def kill_hosts(system: Deployment) -> None:
    """The engine's processes die at once, as by a fault in the library."""
    pool = system.processes["pool"].pid
    for child in Path(f"/proc/{pool}/task/{pool}/children").read_text().split():
        os.kill(int(child), signal.SIGKILL)
