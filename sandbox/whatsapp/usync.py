"""The directory: who is on WhatsApp, with which LID and which devices."""

from __future__ import annotations

import time

from .account import Account
from .hub import Hub
from .node import SERVER, USER_SERVER, Jid, Node

ECHOED = ("sid", "index", "last", "mode", "context")


def answer(hub: Hub, request: Node) -> Node:
    """Answer a usync request: for every user in its list, each thing its query names."""
    query, users = request.child("query"), request.child("list")
    wanted = query.children if query else []
    found = [_user(hub, user, wanted) for user in (users.children if users else [])]
    attrs = {key: value for key, value in request.attrs.items() if key in ECHOED}
    refreshed = [Node(protocol.tag, {"refresh": "86400"}) for protocol in wanted]
    return Node("usync", attrs, [Node("result", {}, refreshed), Node("list", {}, found)])


def _user(hub: Hub, user: Node, wanted: list[Node]) -> Node:
    contact = user.data_of("contact").decode(errors="replace")
    jid = user.jid("jid")
    if jid is None and contact:
        jid = Jid(contact.split("@")[0].lstrip("+"), 0, USER_SERVER)
    account = hub.find(jid)
    parts = [part for protocol in wanted if (part := _part(account, protocol.tag, contact))]
    address = str(jid) if jid else SERVER
    attrs = {"jid": address}
    if account and jid and jid.server == USER_SERVER:
        attrs["jid"] = account.jid()
    return Node("user", attrs, parts)


def _part(account: Account | None, protocol: str, contact: str) -> Node | None:
    if protocol == "contact":
        return Node("contact", {"type": "in" if account else "out"}, contact.encode())
    if account is None:
        return None
    if protocol == "devices":
        return _devices(account)
    if protocol == "lid":
        return Node("lid", {"val": account.lid_jid()})
    if protocol == "status":
        return Node("status", {"t": "0"}, b"")
    if protocol == "disappearing_mode":
        return Node("disappearing_mode", {"duration": "0", "t": "0"})
    return None


def _devices(account: Account) -> Node:
    devices = [Node("device", {"id": "0"})]
    devices += [
        Node("device", {"id": str(device.number), "key-index": str(device.key_index)})
        for device in account.devices.values()
    ]
    index = Node("key-index-list", {"ts": str(int(time.time()))})
    return Node("devices", {}, [Node("device-list", {}, devices), index])
