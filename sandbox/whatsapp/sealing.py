"""Messages that a phone writes, sealed for one companion each."""

from __future__ import annotations

from . import attachments, ratchet
from .account import Account, Device, InboxMessage
from .hub import Hub
from .keys import take_bundle
from .node import LID_SERVER, Node
from .protobufs import Message


def seal(hub: Hub, account: Account, owner: Account, device: Device, message: InboxMessage) -> None:
    """Encrypt an outgoing message for one companion of the other side or of the account itself.

    A companion that wrote to this phone before is answered in the space that it used (LID or number):
    older clients keep one session for each and would not find the other.
    """
    address = f"{owner.phone}:{device.number}"
    states = account.sessions.setdefault(address, [])
    if not states or states[0].their_identity != device.identity:
        bundle = take_bundle(hub, owner, device)
        states.insert(0, ratchet.begin(account.identity, account.registration_id, bundle))
    content = attachments.content_of(message.text, message.attachment)
    attrs = _addresses(account, account.addressed_by.get(address, LID_SERVER))
    if owner is account:
        target = hub.account(message.chat)
        sent, content = content, Message()
        content.deviceSentMessage.destinationJID = target.jid()
        content.deviceSentMessage.message.CopyFrom(sent)
        attrs["recipient"] = target.lid_jid() if attrs["addressing_mode"] == "lid" else target.jid()
    kind, sealed = ratchet.encrypt(states[0], account.identity, content.SerializeToString())
    hub.store.save_sessions(account, address)
    attrs |= {
        "id": message.id,
        "type": "media" if message.attachment else "text",
        "t": str(int(message.at)),
        "notify": account.name,
    }
    hub.deliver(owner, device, Node("message", attrs, [Node("enc", _enc_attrs(kind, message), sealed)]))


def _enc_attrs(kind: str, message: InboxMessage) -> dict[str, str]:
    attrs = {"v": "2", "type": kind}
    return attrs | {"mediatype": str(message.attachment["kind"])} if message.attachment else attrs


def _addresses(account: Account, server: str) -> dict[str, str]:
    if server == LID_SERVER:
        return {"from": account.lid_jid(), "addressing_mode": "lid", "sender_pn": account.jid()}
    return {"from": account.jid(), "addressing_mode": "pn", "sender_lid": account.lid_jid()}


def send_again(hub: Hub, account: Account, owner: Account, device: Device, message_id: str) -> None:
    """A companion could not open a message: forget the session and seal it anew."""
    message = next((m for m in account.inbox if m.id == message_id and m.outgoing), None)
    hub.journal.note("retry", phone=account.phone, id=message_id, found=message is not None)
    if message:
        account.sessions.pop(f"{owner.phone}:{device.number}", None)
        seal(hub, account, owner, device, message)
