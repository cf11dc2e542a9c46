"""The parts of the protocol by themselves, and what wrong bytes get."""

import asyncio
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.whatsapp import SandboxWhatsApp, curve, noise, ratchet
from sandbox.whatsapp.curve import BadSignature
from sandbox.whatsapp.node import SERVER, BadNode, Jid, Node, encode
from sandbox.whatsapp.node_reader import decode
from sandbox.whatsapp.ratchet import Bundle, CannotDecrypt, OwnKeys

from .clients import until
from .conftest import ANNA, SALON
from .raw import HEADER, RawClient, add_device, framed

SOURCES = Path(__file__).parents[2] / "sandbox" / "whatsapp"
names = st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=12)
values = st.one_of(
    st.sampled_from(
        ["message", "0", "12.5-3", "DEADBEEF", "@", "a@b", SERVER, "79990000001:3@s.whatsapp.net"]
    ),
    st.text(min_size=1, max_size=300),
)
nodes = st.recursive(
    st.builds(Node, names, st.dictionaries(names, values, max_size=3), st.binary(max_size=300)),
    lambda inner: st.builds(
        Node, names, st.dictionaries(names, values, max_size=3), st.lists(inner, max_size=3)
    ),
    max_leaves=8,
)


@given(nodes)
def test_a_node_survives_encoding(node: Node) -> None:
    assert decode(encode(node)) == node


@given(st.binary(max_size=200))
def test_wrong_bytes_are_a_bad_node_and_nothing_else(data: bytes) -> None:
    try:
        decode(data)
    except BadNode:
        return


def test_addresses_are_tokens_not_text() -> None:
    assert encode(Node("iq", {"from": SERVER})) == bytes([0, 248, 3, 25, 6, 250, 0, 3])
    assert b"79990000001" not in encode(Node("iq", {"to": "79990000001:2@lid"}))
    assert Jid.parse("Ivan@home.example") is None


@given(st.binary(max_size=100))
def test_a_signature_fits_its_key_and_message_only(message: bytes) -> None:
    pair, other = curve.new_key_pair(), curve.new_key_pair()
    signature = curve.sign(pair.private, message)
    curve.verify(pair.public, message, signature)
    for key, text, seal in (
        (other.public, message, signature),
        (pair.public, message + b"!", signature),
        (pair.public, message, bytes(64)),
        (pair.public, message, signature[:-1]),
    ):
        with pytest.raises(BadSignature):
            curve.verify(key, text, seal)


async def test_the_certificate_chain_leads_to_the_announced_root(sandbox: SandboxWhatsApp) -> None:
    client = await RawClient(curve.new_key_pair()).open(sandbox.ws_url)
    chain = client.certificate
    curve.verify(bytes.fromhex(sandbox.noise_root), chain.intermediate.details, chain.intermediate.signature)
    details = type(chain.leaf).Details.FromString(chain.intermediate.details)
    curve.verify(details.key, chain.leaf.details, chain.leaf.signature)
    assert details.issuerSerial == 0
    assert (await client.receive()).child("pair-device")


def conversation() -> tuple[ratchet.Session, curve.KeyPair, list[ratchet.Session], OwnKeys]:
    """Anna, who begins, and Boris, who has a bundle out."""
    anna, boris, signed, once = (curve.new_key_pair() for _ in range(4))
    bundle = Bundle(7, boris.public, 1, signed.public, 5, once.public)
    prekeys = {5: once}
    return ratchet.begin(anna, 3, bundle), anna, [], OwnKeys(boris, signed, lambda n: prekeys.pop(n, None))


def test_messages_out_of_order_are_read_once_each() -> None:
    session, anna, states, own = conversation()
    sealed = [ratchet.encrypt(session, anna, f"message {n}".encode()) for n in range(4)]
    assert {kind for kind, _ in sealed} == {"pkmsg"}
    for number in (2, 0, 3, 1):
        assert ratchet.decrypt(states, own, *sealed[number]) == f"message {number}".encode()
    with pytest.raises(CannotDecrypt):
        ratchet.decrypt(states, own, *sealed[2])


def test_both_sides_talk_and_a_damaged_message_changes_nothing() -> None:
    session, anna, states, own = conversation()
    ratchet.decrypt(states, own, *ratchet.encrypt(session, anna, b"hello"))
    anna_keys = OwnKeys(anna, curve.new_key_pair(), lambda _: None)
    for turn in range(5):
        kind, sealed = ratchet.encrypt(states[0], own.identity, b"answer %d" % turn)
        damaged = sealed[:-1] + bytes([sealed[-1] ^ 1])
        with pytest.raises(CannotDecrypt):
            ratchet.decrypt([session], anna_keys, kind, damaged)
        assert ratchet.decrypt([session], anna_keys, kind, sealed) == b"answer %d" % turn
        kind, sealed = ratchet.encrypt(session, anna, b"again %d" % turn)
        assert kind == "msg"
        assert ratchet.decrypt(states, own, kind, sealed) == b"again %d" % turn


def test_a_prekey_opens_one_session_only() -> None:
    session, anna, states, own = conversation()
    kind, sealed = ratchet.encrypt(session, anna, b"hello")
    ratchet.decrypt(states, own, kind, sealed)
    with pytest.raises(CannotDecrypt, match="used before"):
        ratchet.decrypt([], own, kind, sealed)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        HEADER + framed(b""),
        HEADER + framed(b"\xff" * 40),
        HEADER + b"\xff\xff\xff",
    ],
)
async def test_a_client_that_does_not_speak_the_protocol_is_cut_off(
    sandbox: SandboxWhatsApp, data: bytes
) -> None:
    from websockets.asyncio.client import connect
    from websockets.exceptions import ConnectionClosed

    async with connect(sandbox.ws_url) as socket:
        await socket.send(data)
        with pytest.raises(ConnectionClosed):
            await asyncio.wait_for(socket.recv(), 60)
    assert (await until(sandbox, "disconnect"))["reason"].startswith("protocol error")


@pytest.mark.parametrize("intro", [HEADER, b"ED\0\1\0\0\3abc" + HEADER])
async def test_routing_hints_before_the_header_are_skipped(sandbox: SandboxWhatsApp, intro: bytes) -> None:
    client = await RawClient(curve.new_key_pair()).open(sandbox.ws_url, intro=intro)
    assert (await client.receive()).tag == "iq"


async def test_frames_may_be_split_and_joined(sandbox: SandboxWhatsApp) -> None:
    key = curve.new_key_pair()
    device = add_device(sandbox, SALON, key.public)
    client = await RawClient(key).open(sandbox.ws_url, int(SALON), device.number)
    await client.until("success")
    pings = b"".join(
        client.sealed(Node("iq", {"id": str(n), "xmlns": "w:p", "type": "get"})) for n in range(3)
    )
    for start in range(0, len(pings), 7):
        await client.socket.send(pings[start : start + 7])
    assert [(await client.until("iq")).attrs["id"] for _ in range(3)] == ["0", "1", "2"]


async def test_a_request_that_nobody_knows_gets_an_empty_result_and_is_noted(
    sandbox: SandboxWhatsApp,
) -> None:
    key = curve.new_key_pair()
    device = add_device(sandbox, SALON, key.public)
    client = await RawClient(key).open(sandbox.ws_url, int(SALON), device.number)
    await client.send(Node("iq", {"id": "1", "xmlns": "w:unheard", "type": "get", "to": SERVER}))
    assert (await client.until("iq")).attrs["type"] == "result"
    assert (await until(sandbox, "unknown_iq"))["xmlns"] == "w:unheard"


async def test_silence_answers_nothing_and_ends(sandbox: SandboxWhatsApp) -> None:
    key = curve.new_key_pair()
    device = add_device(sandbox, SALON, key.public)
    client = await RawClient(key).open(sandbox.ws_url, int(SALON), device.number)
    await client.until("success")
    assert [(await client.receive()).tag for _ in range(2)] == ["ib", "ib"]
    ping = Node("iq", {"id": "1", "xmlns": "w:p", "type": "get", "to": SERVER})
    sandbox.fault("silent", SALON, seconds=60)
    sandbox.fault("silent", ANNA, seconds=60)
    await client.send(ping)
    await client.send(Node("presence", {"type": "available"}))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(client.receive(), 0.3)
    sandbox.fault("clear")
    await client.send(Node("iq", ping.attrs | {"id": "2"}))
    assert (await client.until("iq")).attrs["id"] == "2"


async def test_two_hundred_sessions_are_linked_at_once(sandbox: SandboxWhatsApp) -> None:
    keys = [curve.new_key_pair() for _ in range(200)]
    phones = [str(79990100000 + number) for number in range(200)]
    devices = [add_device(sandbox, phone, key.public) for phone, key in zip(phones, keys, strict=True)]
    clients = await asyncio.gather(*(
        RawClient(key).open(sandbox.ws_url, int(phone), device.number)
        for key, phone, device in zip(keys, phones, devices, strict=True)
    ))  # fmt: skip
    await asyncio.gather(*(client.until("success") for client in clients))
    state = sandbox.state()
    assert state["linked_now"] == 200
    assert set(state["most_at_once"].values()) == {1}
    assert sum(state["logins_by_second"].values()) == 200
    for client in clients:
        client.socket.transport.abort()


def test_every_refusal_has_words_in_russian() -> None:
    page = (SOURCES / "page.html").read_text()
    for path in SOURCES.glob("pairing*.py"):
        for sentence in re.findall(r'Refused\(\s*4\d\d, "([^"]+)"', path.read_text()):
            assert sentence.replace("'", "\\'") in page, sentence


def test_a_new_identity_differs_from_the_last() -> None:
    assert noise.new_identity().root.public != noise.new_identity().root.public
