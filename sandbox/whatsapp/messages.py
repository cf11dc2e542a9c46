"""Messages and receipts between companions and phones."""

from __future__ import annotations

import time
from typing import Any

from . import attachments, ratchet
from .account import Account, Device, InboxMessage, Waiting, now
from .curve import KeyPair
from .hub import Hub, queue_key
from .keys import phone_bundle
from .node import SERVER, Jid, Node
from .protobufs import Message
from .ratchet import CannotDecrypt, OwnKeys
from .sealing import send_again

RETRY_VERSION = "1"
# Receipt types of companions and phones; "inactive" is sent by a client whose user is not looking.
STATUS = {"": "delivered", "inactive": "delivered", "read": "read"}


def from_companion(hub: Hub, account: Account, device: Device, stanza: Node) -> None:
    """Acknowledge a companion's message and bring every part to the device it is sealed for."""
    if hub.faults.take_lost_ack(account.phone):
        hub.journal.note("ack_lost", phone=account.phone, device=device.number)
        return
    to = stanza.attrs.get("to", "")
    message_id = stanza.attrs.get("id", "")
    attrs = {"class": "message", "id": message_id, "from": to, "t": str(int(time.time()))}
    chat = Jid.parse(to)
    target = hub.find(chat)
    if target is None:
        hub.journal.note("message_refused", phone=account.phone, device=device.number, id=message_id)
        _send(hub, account, device, Node("ack", attrs | {"error": "404"}))
        return
    hub.journal.note("message", phone=account.phone, device=device.number, id=message_id, chat=target.phone)
    _send(hub, account, device, Node("ack", attrs))
    for jid, sealed in _parts(stanza, to):
        _deliver_part(hub, account, device, stanza, jid, sealed)


def _send(hub: Hub, account: Account, device: Device, node: Node) -> None:
    connection = hub.connection(account, device.number)
    if connection:
        connection.send(node)


def _parts(stanza: Node, to: str) -> list[tuple[Jid, Node]]:
    """(address, enc) pairs; a message to one device of one's own comes without the list."""
    participants = stanza.child("participants")
    pairs = [(part.attrs.get("jid", ""), part.child("enc")) for part in participants.children] if (
        participants
    ) else [(to, stanza.child("enc"))]  # fmt: skip
    return [(jid, enc) for text, enc in pairs if enc and (jid := Jid.parse(text))]


def _deliver_part(hub: Hub, account: Account, device: Device, stanza: Node, jid: Jid, enc: Node) -> None:
    target = hub.find(jid)
    if target is None:
        return
    if jid.device:
        companion = target.devices.get(jid.device)
        if companion:
            hub.deliver(target, companion, _forwarded(account, device, stanza, jid, enc))
        return
    item = Waiting(
        id=stanza.attrs.get("id", ""), sender=account.phone, sender_device=device.number,
        reply_to=target.address(jid), kind=enc.attrs.get("type", ""), sealed=enc.data, at=now(),
    )  # fmt: skip
    if target.online:
        receive(hub, target, item)
    else:
        target.waiting.append(item)
        hub.store.save_waiting(target)


def _forwarded(account: Account, device: Device, stanza: Node, jid: Jid, enc: Node) -> Node:
    attrs = {"from": account.address(jid, device.number), "id": stanza.attrs.get("id", ""),
             "type": stanza.attrs.get("type", "text"), "t": str(int(time.time())),
             "notify": account.name}  # fmt: skip
    identity = stanza.child("device-identity")
    return Node("message", attrs, [enc, identity] if identity else [enc])


def own_keys(hub: Hub, account: Account) -> OwnKeys:
    def prekey(number: int) -> KeyPair | None:
        pair = account.prekeys.pop(number, None)
        if pair:
            hub.store.save_account(account)
        return pair

    return OwnKeys(account.identity, account.signed_prekey, prekey)


def receive(hub: Hub, account: Account, item: Waiting) -> None:
    """The phone opens a message, keeps it in its inbox, and says so; or asks for it once more."""
    address = f"{item.sender}:{item.sender_device}"
    states = account.sessions.setdefault(address, [])
    try:
        plain = ratchet.decrypt(states, own_keys(hub, account), item.kind, item.sealed)
        content = Message()
        content.ParseFromString(plain)
    except CannotDecrypt as error:
        hub.journal.note("cannot_decrypt", phone=account.phone, id=item.id, why=str(error))
        _ask_again(hub, account, item)
        return
    hub.store.save_sessions(account, address)
    server = item.reply_to.rsplit("@", 1)[-1]
    if account.addressed_by.get(address) != server:
        account.addressed_by[address] = server
        hub.store.save_account(account)
    own = item.sender == account.phone
    message = _inbox_message(hub, account, item, content, own)
    if message and not any(known.id == message.id and known.chat == message.chat for known in account.inbox):
        account.inbox.append(message)
        hub.store.save_message(account, message)
        hub.journal.note("received", phone=account.phone, id=item.id, chat=message.chat)
    receipt(hub, account, item, "sender" if own else "")
    if message and account.auto_read and not own:
        mark_read(hub, account, [message])


def _inbox_message(hub: Hub, account: Account, item: Waiting, content: Any, own: bool) -> InboxMessage | None:
    chat, status = item.sender, ""
    if content.HasField("deviceSentMessage"):
        peer = hub.find(Jid.parse(content.deviceSentMessage.destinationJID))
        chat, content = peer.phone if peer else chat, content.deviceSentMessage.message
        status = _status_at(peer, item.id)
    kind, text = _text(content)
    if kind in ("protocolMessage", "senderKeyDistributionMessage", ""):
        return None
    return InboxMessage(
        id=item.id, chat=chat, sender=item.sender, text=text, kind=kind, at=item.at, outgoing=own,
        status=status, read=own, from_device=item.sender_device, attachment=attachments.read(content),
    )  # fmt: skip


def _status_at(peer: Account | None, message_id: str) -> str:
    """The other side may have got the message before the own phone gets its copy."""
    arrived = next((m for m in peer.inbox if m.id == message_id), None) if peer else None
    if arrived is None:
        return "sent"
    return "read" if arrived.read else "delivered"


def _text(content: Any) -> tuple[str, str]:
    """The kind of a message's content and its text or caption."""
    names = [field.name for field, _ in content.ListFields() if field.name != "messageContextInfo"]
    if "conversation" in names:
        return "text", content.conversation
    if "extendedTextMessage" in names:
        return "text", content.extendedTextMessage.text
    kind = names[0] if names else ""
    if kind == "documentWithCaptionMessage":
        return _text(content.documentWithCaptionMessage.message)
    return kind, str(getattr(getattr(content, kind, None), "caption", ""))


def receipt(hub: Hub, account: Account, item: Waiting, kind: str) -> None:
    """Tell the sending companion: "" delivered, "sender" arrived at its own phone, "read"."""
    sender = hub.accounts.get(item.sender)
    device = sender.devices.get(item.sender_device) if sender else None
    if sender is None or device is None:
        return
    attrs = {"from": item.reply_to, "id": item.id, "t": str(int(time.time()))}
    if kind:
        attrs["type"] = kind
    hub.journal.note("receipt", phone=account.phone, id=item.id, type=kind or "delivered", chat=item.sender)
    hub.deliver(sender, device, Node("receipt", attrs))
    if kind in STATUS:
        set_status(hub, sender, {item.id}, STATUS[kind])


def set_status(hub: Hub, account: Account, ids: set[str], status: str) -> None:
    """Show on the phone that wrote messages, or holds copies of them, that they are delivered or read."""
    for message in account.inbox:
        if message.outgoing and message.id in ids and message.status not in ("read", status):
            message.status = status
            hub.store.save_message(account, message)


def mark_read(hub: Hub, account: Account, messages: list[InboxMessage]) -> int:
    """Blue ticks for incoming messages that were not read; gives their number."""
    unread = [message for message in messages if not message.read and not message.outgoing]
    for message in unread:
        message.read = True
        hub.store.save_message(account, message)
        reply_to = account.lid_jid()
        item = Waiting(message.id, message.sender, message.from_device, reply_to, "", b"", message.at)
        receipt(hub, account, item, "read")
    return len(unread)


def _ask_again(hub: Hub, account: Account, item: Waiting) -> None:
    """A retry receipt with the phone's keys: the companion then begins a new session and sends again."""
    sender = hub.accounts.get(item.sender)
    device = sender.devices.get(item.sender_device) if sender else None
    if sender is None or device is None:
        return
    stamp = str(int(item.at))
    registration, *bundle = phone_bundle(hub, account)
    retry = Node("retry", {"count": "1", "id": item.id, "t": stamp, "v": RETRY_VERSION})
    attrs = {"from": item.reply_to, "id": item.id, "t": str(int(time.time())), "type": "retry"}
    hub.deliver(sender, device, Node("receipt", attrs, [retry, registration, Node("keys", {}, bundle)]))


def receipt_from_companion(hub: Hub, account: Account, device: Device, stanza: Node) -> None:
    """A companion has got, or its user has read, messages: note it at the phone that sent them."""
    kind = stanza.attrs.get("type", "")
    ids = [stanza.attrs.get("id", "")]
    listed = stanza.child("list")
    ids += [item.attrs.get("id", "") for item in listed.children] if listed else []
    attrs = {"class": "receipt", "id": ids[0], "from": stanza.attrs.get("to", SERVER)}
    _send(hub, account, device, Node("ack", attrs | ({"type": kind} if kind else {})))
    for message_id in ids:
        hub.acknowledge(account, device, queue_key("message", {"id": message_id}))
    sender = hub.find(stanza.jid("to"))
    if kind == "retry" and sender:
        for message_id in ids[:1]:
            send_again(hub, sender, account, device, message_id)
        return
    status = STATUS.get(kind)
    if sender is None or status is None or sender is account:
        return
    set_status(hub, sender, set(ids), status)
    hub.journal.note("companion_receipt", phone=account.phone, device=device.number, type=status, id=ids[0])
