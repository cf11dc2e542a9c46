"""Linking the real client by QR and by code, and what refuses it."""

from pathlib import Path

import pytest

from sandbox.whatsapp import Refused, SandboxWhatsApp

from .clients import Client, until
from .conftest import ANNA, SALON, Opened


async def test_a_scanned_code_links_the_device_and_it_logs_in(
    sandbox: SandboxWhatsApp, open_client: Opened
) -> None:
    client = await open_client("new.db")
    device = await sandbox.scan(SALON, (await client.wait("qr"))["qr"])
    assert device.number == 1
    connected = await client.wait("connected")
    assert (connected["phone"], connected["device"]) == (SALON, 1)
    assert connected["lid"] == sandbox.phone(SALON)["lid"]
    await until(sandbox, "prekeys", phone=SALON, count=812)
    assert sandbox.phone(SALON)["devices"][0]["connected"]


async def test_the_bare_comma_text_is_a_code_too(sandbox: SandboxWhatsApp, open_client: Opened) -> None:
    client = await open_client("new.db")
    text = (await client.wait("qr"))["qr"].split("#")[1]
    assert (await sandbox.scan(SALON, text)).number == 1


async def test_a_wrong_pairing_code_is_refused_and_the_right_one_links_after_it(
    sandbox: SandboxWhatsApp, open_client: Opened
) -> None:
    client = await open_client("new.db")
    await client.wait("qr")
    client.do("pair_code", phone=SALON)
    code = (await client.wait("code"))["code"]
    assert sandbox.phone(SALON)["code_wanted"]
    wrong = code[:-1] + ("2" if code[-1] != "2" else "3")
    with pytest.raises(Refused, match="wrong") as refused:
        await sandbox.enter_code(SALON, wrong)
    assert refused.value.status == 422
    await sandbox.enter_code(SALON, code.lower())
    assert (await client.wait("connected"))["phone"] == SALON
    assert (await until(sandbox, "pair"))["by"] == "code"


async def test_a_code_belongs_to_the_phone_it_was_asked_for(
    sandbox: SandboxWhatsApp, open_client: Opened
) -> None:
    client = await open_client("new.db")
    await client.wait("qr")
    client.do("pair_code", phone=SALON)
    code = (await client.wait("code"))["code"]
    sandbox.create_phone(ANNA)
    with pytest.raises(Refused, match="No device is waiting") as refused:
        await sandbox.enter_code(ANNA, code)
    assert refused.value.status == 404


@pytest.mark.parametrize("code", ["", "1234", "ABCD-EFGH-1", "OOOO-0000"])
async def test_a_text_that_cannot_be_a_code_is_refused(
    sandbox: SandboxWhatsApp, open_client: Opened, code: str
) -> None:
    from sandbox.whatsapp.pairing_code import CodePairing

    client = next(iter(sandbox.hub.everyone), None)
    waiting = CodePairing(sandbox.options, client, SALON, b"\0" * 80)  # type: ignore[arg-type]
    with pytest.raises(Refused) as refused:
        await waiting.enter(sandbox.hub.accounts[SALON], code)
    assert refused.value.status == 400


@pytest.mark.parametrize("text", ["", "hello", "https://wa.me/79990000001", "1,2,3,4", "2@a,b,c"])
async def test_a_text_that_is_no_linking_code_is_refused(sandbox: SandboxWhatsApp, text: str) -> None:
    with pytest.raises(Refused) as refused:
        await sandbox.scan(SALON, text)
    assert refused.value.status == 400


async def test_an_outdated_code_is_refused(sandbox: SandboxWhatsApp, open_client: Opened) -> None:
    client = await open_client("new.db")
    qr = (await client.wait("qr"))["qr"]
    sandbox.fault("qr_lifetime", first=0, next=0)
    sandbox.hub.options.qr_grace = -1
    with pytest.raises(Refused, match="out of date") as refused:
        await sandbox.scan(SALON, qr)
    assert refused.value.status == 410


async def test_a_code_with_another_devices_keys_is_refused(
    sandbox: SandboxWhatsApp, open_client: Opened
) -> None:
    client = await open_client("new.db")
    ref, noise_key, identity, *rest = (await client.wait("qr"))["qr"].split(",")
    with pytest.raises(Refused, match="keys") as refused:
        await sandbox.scan(SALON, ",".join([ref, identity, noise_key, *rest]))
    assert refused.value.status == 409


async def test_a_number_that_is_not_on_whatsapp_cannot_be_linked(
    sandbox: SandboxWhatsApp, open_client: Opened
) -> None:
    sandbox.create_phone(ANNA, registered=False)
    client = await open_client("new.db")
    qr = (await client.wait("qr"))["qr"]
    with pytest.raises(Refused, match="not on WhatsApp"):
        await sandbox.scan(ANNA, qr)


async def test_a_fifth_device_is_refused(sandbox: SandboxWhatsApp, open_client: Opened) -> None:
    sandbox.hub.options.most_devices = 0
    client = await open_client("new.db")
    qr = (await client.wait("qr"))["qr"]
    with pytest.raises(Refused, match="as many linked devices"):
        await sandbox.scan(SALON, qr)


async def test_a_forged_login_with_another_noise_key_is_refused(
    sandbox: SandboxWhatsApp, linked_folder: Path, open_client: Opened
) -> None:
    sandbox.hub.accounts[SALON].devices[1].noise_key = b"\1" * 32
    client = await open_client()
    await client.wait("logged_out")
    refusal = await until(sandbox, "login_refused", phone=SALON)
    assert refusal["why"] == "wrong noise key"
    assert "connected" not in client.names()
    assert sandbox.state()["linked"] == {}


async def test_the_client_itself_can_unlink(sandbox: SandboxWhatsApp, linked: Client) -> None:
    linked.do("logout")
    await until(sandbox, "device_removed", phone=SALON, device=1)
    assert sandbox.phone(SALON)["devices"] == []
