"""Ends and faults on demand, as the real client sees them."""

from pathlib import Path

import pytest

from sandbox.whatsapp import Refused, SandboxWhatsApp

from .clients import Client, until
from .conftest import SALON, Opened


async def test_a_linked_device_comes_back_without_a_code(
    sandbox: SandboxWhatsApp, linked_folder: Path, open_client: Opened
) -> None:
    client = await open_client()
    await client.wait("connected", phone=SALON, device=1)
    assert "qr" not in client.names()
    assert sandbox.state()["linked"] == {f"{SALON}:1": 1}


async def test_a_cut_line_is_followed_by_a_reconnect(sandbox: SandboxWhatsApp, linked: Client) -> None:
    assert sandbox.fault("drop", SALON)["affected"] == 1
    await linked.wait("disconnected")
    await linked.wait("connected")
    assert sandbox.state()["most_at_once"] == {f"{SALON}:1": 1}


async def test_a_second_process_of_one_device_kicks_the_first_and_the_journal_shows_it(
    sandbox: SandboxWhatsApp, linked: Client, open_client: Opened, tmp_path: Path
) -> None:
    (tmp_path / "copy.db").write_bytes((tmp_path / "client.db").read_bytes())
    second = await open_client("copy.db")
    await linked.wait("replaced")
    await second.wait("connected")
    await until(sandbox, "disconnect", reason="replaced")
    state = sandbox.state()
    assert state["most_at_once"] == {f"{SALON}:1": 2}
    assert state["linked"] == {f"{SALON}:1": 1}


async def test_replaced_on_demand(sandbox: SandboxWhatsApp, linked: Client) -> None:
    sandbox.fault("replaced", SALON)
    await linked.wait("replaced")


async def test_removing_the_device_on_the_phone_logs_the_client_out(
    sandbox: SandboxWhatsApp, linked: Client
) -> None:
    assert sandbox.remove_devices(SALON) == 1
    await linked.wait("logged_out")
    assert sandbox.phone(SALON)["devices"] == []


async def test_a_removed_device_cannot_log_in_again(
    sandbox: SandboxWhatsApp, linked_folder: Path, open_client: Opened
) -> None:
    sandbox.remove_devices(SALON)
    client = await open_client()
    await client.wait("logged_out")
    assert (await until(sandbox, "login_refused"))["why"] == "unknown device"


async def test_a_ban_carries_its_code_and_end(
    sandbox: SandboxWhatsApp, linked_folder: Path, open_client: Opened
) -> None:
    sandbox.fault("failure", SALON, reason=402, code=102, expire=600)
    client = await open_client()
    banned = await client.wait("banned")
    assert banned["code"] == 2  # neonize counts from 1: WhatsApp says 102
    assert banned["expire"] == 600


@pytest.mark.parametrize(("reason", "event"), [(401, "logged_out"), (403, "logged_out"), (405, "outdated")])
async def test_a_refused_login(
    sandbox: SandboxWhatsApp, linked_folder: Path, open_client: Opened, reason: int, event: str
) -> None:
    sandbox.fault("failure", SALON, reason=reason)
    client = await open_client()
    await client.wait(event)


async def test_an_overloaded_server_is_tried_again(
    sandbox: SandboxWhatsApp, linked_folder: Path, open_client: Opened
) -> None:
    sandbox.fault("failure", SALON, reason=503)
    client = await open_client()
    await until(sandbox, "failure", reason=503)
    await client.wait("connected")


async def test_refused_connections_end_when_their_time_is_over(
    sandbox: SandboxWhatsApp, linked: Client
) -> None:
    sandbox.fault("refuse", seconds=1)
    sandbox.fault("drop", SALON)
    await until(sandbox, "refused")
    await linked.wait("connected")


async def test_a_slow_server_still_brings_the_message(sandbox: SandboxWhatsApp, linked: Client) -> None:
    sandbox.fault("slow", SALON, seconds=0.3)
    linked.do("send", phone="79990000002", text="slowly")
    await linked.wait("sent")
    await linked.wait("receipt", type=1)


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "earthquake"},
        {"kind": "failure", "reason": 418},
        {"kind": "failure", "reason": "many"},
        {"kind": "drop", "phone": "nobody"},
    ],
)
async def test_a_fault_that_does_not_exist_is_refused(
    sandbox: SandboxWhatsApp, fault: dict[str, object]
) -> None:
    with pytest.raises(Refused) as refused:
        sandbox.fault(**fault)  # type: ignore[arg-type]
    assert refused.value.status == 400
