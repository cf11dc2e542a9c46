"""What a person does with a phone: scan, type a code, read, write, go offline, unlink."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from . import attachments
from .account import Account, Device, InboxMessage, new_message_id, now
from .hub import Hub, digits
from .messages import mark_read, receive
from .node import USER_SERVER, Jid
from .pairing import find_scanned
from .pairing_code import find_waiting
from .refusal import Refused
from .sealing import seal


def create(
    hub: Hub, *, phone: str, name: str = "", auto_read: bool | None = None, registered: bool | None = None
) -> Account:
    """Make a phone, or change the one with this number; None leaves a property as it is."""
    number = digits(phone)
    account = hub.account(number, name)
    if name:
        account.name = name
    if auto_read is not None:
        account.auto_read = auto_read
    if registered is not None:
        hub.set_registered(number, registered)
    hub.store.save_account(account)
    return account


async def scan(hub: Hub, *, phone: str, qr: str) -> Device:
    """Point the phone at a QR code (its text); returns the linked device. Raises Refused."""
    account = hub.existing(phone)
    pairing, adv_secret = find_scanned(hub, qr)
    return await pairing.link(account, adv_secret)


async def enter_code(hub: Hub, *, phone: str, code: str) -> Device:
    """Type a pairing code on the phone; returns the linked device. Raises Refused, 422 for a wrong code."""
    account = hub.existing(phone)
    if not account.online:
        raise Refused(409, "The phone is offline. Bring it online first.")
    waiting = find_waiting(hub, account.phone)
    adv_secret = await waiting.enter(account, code)
    pairing = waiting.connection.pairing
    if pairing is None:
        raise Refused(410, "The device went away before it was linked.")
    return await pairing.link(account, adv_secret)


def send(
    hub: Hub, *, phone: str, to: str, text: str, attachment: attachments.Attachment | None = None
) -> InboxMessage:
    """Write to another number, to its phone and to every companion on both sides: a text, or an attachment
    with or without one."""
    account, number = hub.existing(phone), digits(to)
    target = hub.find(Jid(number, 0, USER_SERVER))
    if target is None:
        raise Refused(404, "This number is not on WhatsApp.")
    if not text.strip() and attachment is None:
        raise Refused(400, "There is no text to send.")
    if not account.online:
        raise Refused(409, "The phone is offline. Bring it online first.")
    message = InboxMessage(
        id=new_message_id(), chat=target.phone, sender=account.phone, text=text,
        kind=str(attachment["kind"]) if attachment else "text", at=now(), outgoing=True, status="sent",
        read=True, attachment=attachment,
    )  # fmt: skip
    account.inbox.append(message)
    for owner in (target, account) if target is not account else (account,):
        for device in owner.devices.values():
            seal(hub, account, owner, device, message)
    if target is not account:
        _arrive(hub, target, account, message)
    hub.store.save_message(account, message)
    hub.journal.note("phone_sent", phone=account.phone, id=message.id, chat=target.phone)
    return message


def _arrive(hub: Hub, target: Account, account: Account, message: InboxMessage) -> None:
    """Phones here share one process: between two of them no sealing is needed."""
    received = InboxMessage(
        id=message.id, chat=account.phone, sender=account.phone, text=message.text, kind=message.kind,
        at=message.at, attachment=message.attachment,
    )  # fmt: skip
    target.inbox.append(received)
    hub.store.save_message(target, received)
    if target.online:
        message.status = "delivered"


def message(hub: Hub, *, phone: str, message_id: str) -> InboxMessage:
    """A message in the phone's inbox; raises Refused."""
    found = next((m for m in hub.existing(phone).inbox if m.id == message_id), None)
    if found is None:
        raise Refused(404, "There is no such message on this phone.")
    return found


def read(hub: Hub, *, phone: str, chat: str | None = None) -> int:
    """Open a chat, or all of them: unread messages get a read receipt. Returns how many."""
    account = hub.existing(phone)
    other = digits(chat) if chat else None
    return mark_read(hub, account, [m for m in account.inbox if other is None or m.chat == other])


def remove_devices(hub: Hub, *, phone: str, device: int | None = None) -> int:
    """Unlink one companion, or all; returns how many were unlinked."""
    account = hub.existing(phone)
    numbers = [number for number in account.devices if device is None or number == device]
    for number in numbers:
        hub.remove_device(account, number)
    return len(numbers)


def set_online(hub: Hub, *, phone: str, online: bool) -> None:
    """Take a phone off the net or bring it back; back again, it receives what has waited."""
    account = hub.existing(phone)
    account.online = online
    hub.store.save_account(account)
    hub.journal.note("phone_online" if online else "phone_offline", phone=account.phone)
    if online and account.waiting:
        waiting, account.waiting = account.waiting, []
        hub.store.save_waiting(account)
        for item in waiting:
            receive(hub, account, item)


def describe(hub: Hub, account: Account, *, full: bool = False) -> dict[str, Any]:
    """A phone as JSON; with ``full`` its devices, chats and inbox."""
    short: dict[str, Any] = {
        "phone": account.phone,
        "lid": account.lid,
        "name": account.name,
        "online": account.online,
        "auto_read": account.auto_read,
        "registered": account.phone not in hub.unregistered,
        "linked_devices": len(account.devices),
        "unread": sum(not message.read for message in account.inbox),
    }
    if not full:
        return short
    inbox = [asdict(message) for message in account.inbox]
    code_wanted = any(
        connection.pairing and connection.pairing.code and connection.pairing.code.phone == account.phone
        for connection in hub.everyone
    )
    return short | {
        "devices": [_describe_device(hub, account, device) for device in account.devices.values()],
        "chats": _chats(hub, account),
        "inbox": inbox,
        "waiting": len(account.waiting),
        "code_wanted": code_wanted,
    }


def _describe_device(hub: Hub, account: Account, device: Device) -> dict[str, Any]:
    return {
        "device": device.number,
        "platform": device.platform,
        "linked_at": device.linked_at,
        "last_seen": device.last_seen,
        "connected": hub.connection(account, device.number) is not None,
        "queued": len(device.queue),
    }


def _chats(hub: Hub, account: Account) -> list[dict[str, Any]]:
    chats: dict[str, dict[str, Any]] = {}
    for message in account.inbox:
        known = hub.accounts.get(message.chat)
        chat = chats.setdefault(message.chat, {"chat": message.chat, "unread": 0})
        chat |= {"name": known.name if known else message.chat, "last_text": message.text, "at": message.at}
        chat["unread"] += not message.read
        chats[message.chat] = chat
    return sorted(chats.values(), key=lambda chat: -float(chat["at"]))
