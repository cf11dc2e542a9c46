"""Prekeys: what companions upload, and bundles for whoever wants to begin a session."""

from __future__ import annotations

from . import curve
from .account import SIGNED_PREKEY_ID, Account, Device
from .hub import Hub
from .node import SERVER, Node
from .ratchet import Bundle

FEW_PREKEYS = 10
PHONE_PREKEYS_KEPT = 200


def store_upload(hub: Hub, account: Account, device: Device, iq: Node) -> None:
    """Take a companion's prekeys, its identity and its signed prekey."""
    uploaded = iq.child("list")
    for key in uploaded.children if uploaded else []:
        device.prekeys[int.from_bytes(key.data_of("id"), "big")] = key.data_of("value")
    signed = iq.child("skey")
    if signed:
        device.signed_prekey_id = int.from_bytes(signed.data_of("id"), "big")
        device.signed_prekey = signed.data_of("value")
        device.signed_prekey_signature = signed.data_of("signature")
    hub.store.save_device(account, device)
    hub.store.save_prekeys(account, device)
    hub.journal.note("prekeys", phone=account.phone, device=device.number, count=len(device.prekeys))


def take_prekey(hub: Hub, account: Account, device: Device) -> tuple[int, bytes] | None:
    """One of a companion's prekeys, each given once; the companion is notified when few are left."""
    if not device.prekeys:
        return None
    taken = device.prekeys.popitem(last=False)
    hub.store.save_prekeys(account, device)
    connection = hub.connection(account, device.number)
    if len(device.prekeys) < FEW_PREKEYS and connection:
        attrs = {"from": SERVER, "type": "encrypt", "id": connection.new_id()}
        left = Node("count", {"value": str(len(device.prekeys))})
        connection.send(Node("notification", attrs, [left]))
    return taken


def take_bundle(hub: Hub, account: Account, device: Device) -> Bundle:
    prekey_id, prekey = take_prekey(hub, account, device) or (None, None)
    return Bundle(device.registration_id, device.identity, device.signed_prekey_id, device.signed_prekey,
                  prekey_id, prekey)  # fmt: skip


def bundle_node(hub: Hub, user: Node) -> Node:
    """The answer for one device in a prekey request; an unknown device gets an error in its place."""
    jid = user.jid("jid")
    account = hub.find(jid)
    answer = Node("user", {"jid": user.attrs.get("jid", "")}, [])
    device = account.devices.get(jid.device) if account and jid and jid.device else None
    if account is None or jid is None or (jid.device and device is None):
        answer.content = [Node("error", {"code": "404", "text": "item-not-found"})]
    elif device is None:
        answer.content = phone_bundle(hub, account)
    else:
        prekey = take_prekey(hub, account, device)
        answer.content = _bundle(
            device.registration_id, device.identity, prekey,
            (device.signed_prekey_id, device.signed_prekey, device.signed_prekey_signature),
        )  # fmt: skip
    return answer


def phone_bundle(hub: Hub, account: Account) -> list[Node]:
    """A fresh bundle of the phone itself; the oldest unused prekeys are forgotten some day."""
    pair = curve.new_key_pair()
    number = account.next_prekey
    account.next_prekey += 1
    account.prekeys[number] = pair
    while len(account.prekeys) > PHONE_PREKEYS_KEPT:
        del account.prekeys[next(iter(account.prekeys))]
    hub.store.save_account(account)
    signed = (SIGNED_PREKEY_ID, account.signed_prekey.public, account.signed_prekey_signature)
    return _bundle(account.registration_id, account.identity.public, (number, pair.public), signed)


def _bundle(
    registration_id: int, identity: bytes, prekey: tuple[int, bytes] | None, signed: tuple[int, bytes, bytes]
) -> list[Node]:
    nodes = [
        Node("registration", {}, registration_id.to_bytes(4, "big")),
        Node("type", {}, b"\5"),
        Node("identity", {}, identity),
        Node("skey", {}, [*_key(*signed[:2]), Node("signature", {}, signed[2])]),
    ]
    if prekey:
        nodes.append(Node("key", {}, _key(*prekey)))
    return nodes


def _key(number: int, value: bytes) -> list[Node]:
    return [Node("id", {}, number.to_bytes(3, "big")), Node("value", {}, value)]
