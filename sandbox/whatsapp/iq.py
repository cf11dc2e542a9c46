"""Answers to clients' requests (iq stanzas), by namespace."""

from __future__ import annotations

import time
from collections.abc import Callable

from . import keys, usync
from .client import Client
from .hub import Hub
from .media_server import HOST_NAME
from .node import SERVER, Node
from .pairing_code import WRAPPED_COMPANION_KEY, CodePairing


class IqError(Exception):
    """An error answer: WhatsApp's number and word."""

    def __init__(self, code: int, word: str) -> None:
        super().__init__(word)
        self.code, self.word = code, word


Handler = Callable[[Hub, Client, Node], list[Node] | None]


def handle(hub: Hub, client: Client, iq: Node) -> None:
    """Answer a request; pass a result on to the pairing that waits for it."""
    if iq.attrs.get("type") in ("result", "error"):
        if client.pairing:
            client.pairing.answered(iq)
        return
    answer = {"from": SERVER, "type": "result"}
    if "id" in iq.attrs:
        answer["id"] = iq.attrs["id"]
    handler = HANDLERS.get(iq.attrs.get("xmlns", ""))
    if handler is None:
        hub.journal.note("unknown_iq", phone=client.phone, xmlns=iq.attrs.get("xmlns", ""))
    try:
        content = handler(hub, client, iq) if handler else None
    except IqError as error:
        refusal = Node("error", {"code": str(error.code), "text": error.word})
        client.send(Node("iq", answer | {"type": "error"}, [refusal]))
        return
    client.send(Node("iq", answer, content))
    _after(hub, client, iq)


def _after(hub: Hub, client: Client, iq: Node) -> None:
    """A companion that asks to be unlinked gets its answer first and is removed then."""
    if iq.child("remove-companion-device") and client.account and client.device:
        hub.remove_device(client.account, client.device.number)


def _nothing(hub: Hub, client: Client, iq: Node) -> list[Node] | None:
    return None


def _passive(hub: Hub, client: Client, iq: Node) -> list[Node] | None:
    return [Node(child.tag) for child in iq.children[:1]]


def _encrypt(hub: Hub, client: Client, iq: Node) -> list[Node] | None:
    account, device = client.account, client.device
    if account is None or device is None:
        raise IqError(401, "not-authorized")
    if iq.child("count"):
        return [Node("count", {"value": str(len(device.prekeys))})]
    if iq.child("digest"):
        raise IqError(404, "item-not-found")
    if iq.attrs.get("type") == "set":
        keys.store_upload(hub, account, device, iq)
        return None
    request = iq.child("key")
    if request is None:
        raise IqError(400, "bad-request")
    return [Node("list", {}, [keys.bundle_node(hub, user) for user in request.children])]


def _usync(hub: Hub, client: Client, iq: Node) -> list[Node] | None:
    request = iq.child("usync")
    if request is None:
        raise IqError(400, "bad-request")
    return [usync.answer(hub, request)]


def _app_state(hub: Hub, client: Client, iq: Node) -> list[Node] | None:
    """No account here has any synchronised settings: every collection is empty at version 0."""
    sync = iq.child("sync")
    collections = [
        Node("collection", {"name": child.attrs.get("name", ""), "version": "0"})
        for child in (sync.children if sync else [])
    ]
    return [Node("sync", {}, collections)]


def _multi_device(hub: Hub, client: Client, iq: Node) -> list[Node] | None:
    request = iq.child("link_code_companion_reg")
    if request is None:
        return None
    pairing = client.pairing
    if pairing is None:
        raise IqError(400, "bad-request")
    if request.attrs.get("stage") == "companion_finish":
        if pairing.code is None:
            raise IqError(400, "bad-request")
        pairing.code.finished(request)
        return None
    account = hub.find(request.jid("jid"))
    wrapped = request.data_of(WRAPPED_COMPANION_KEY)
    if account is None:
        raise IqError(404, "item-not-found")
    if len(wrapped) != 80:
        raise IqError(400, "bad-request")
    pairing.code = CodePairing(hub.options, client, account.phone, wrapped)
    hub.journal.note("code", phone=account.phone, peer=client.peer)
    ref = Node("link_code_pairing_ref", {}, pairing.code.ref.encode())
    return [Node("link_code_companion_reg", {"stage": "companion_hello"}, [ref])]


def _props(hub: Hub, client: Client, iq: Node) -> list[Node] | None:
    attrs = {"protocol": "1", "ab_key": "1", "hash": "1", "refresh": "86400", "refresh_id": "1"}
    return [Node("props", attrs, [])]


def _privacy(hub: Hub, client: Client, iq: Node) -> list[Node] | None:
    if iq.child("privacy") is None:
        return None
    names = ("readreceipts", "profile", "status", "online", "last", "groupadd", "calladd")
    return [Node("privacy", {}, [Node("category", {"name": name, "value": "all"}) for name in names])]


def _media(hub: Hub, client: Client, iq: Node) -> list[Node] | None:
    attrs = {"auth": hub.media_token, "ttl": "21600", "auth_ttl": "21600", "max_buckets": "12"}
    return [Node("media_conn", attrs, [Node("host", {"hostname": HOST_NAME})])]


def _groups(hub: Hub, client: Client, iq: Node) -> list[Node] | None:
    return [Node("groups", {}, [])]


def _picture(hub: Hub, client: Client, iq: Node) -> list[Node] | None:
    raise IqError(404, "item-not-found")


def _time_stamped_list(hub: Hub, client: Client, iq: Node) -> list[Node] | None:
    return [Node("list", {"t": str(int(time.time()))}, [])]


HANDLERS: dict[str, Handler] = {
    "passive": _passive,
    "encrypt": _encrypt,
    "usync": _usync,
    "w:sync:app:state": _app_state,
    "md": _multi_device,
    "abt": _props,
    "w": _props,
    "privacy": _privacy,
    "blocklist": _time_stamped_list,
    "w:m": _media,
    "w:g2": _groups,
    "w:profile:picture": _picture,
    "w:p": _nothing,
    "urn:xmpp:whatsapp:dirty": _nothing,
    "urn:xmpp:whatsapp:push": _nothing,
    "urn:xmpp:whatsapp:account": _nothing,
    "urn:xmpp:ping": _nothing,
    "w:stats": _nothing,
    "tos": _nothing,
    "status": _nothing,
    "disappearing_mode": _nothing,
    "w:biz": _nothing,
    "w:biz:catalog": _nothing,
    "fb:thrift_iq": _nothing,
}
