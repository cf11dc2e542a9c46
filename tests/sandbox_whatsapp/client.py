"""A small test client around the real neonize library, run as a process of its own.

``python client.py FD`` imports the library and forks a client for each request on the socket FD: JSON,
``{"root": …, "store": …}``, with one descriptor. The client speaks JSON lines on that, trusts the Noise root
``root`` (64 hex digits), keeps its keys in ``store``. The answer is a pidfd of it. ``HTTPS_PROXY`` and
``SSL_CERT_FILE`` must be in the environment before the start: Go reads them once. The library may crash the
process it lives in (Go maps without a lock), so it must never be imported into the test process.
"""

import ctypes
import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

from whatsapp.engine.host.deferred_library import deferred_loading

WHATSMEOW_ROOT = bytes.fromhex("142375574d0a587166aae71ebe516437c4a28b73e3695c6ce1f7f9545da8ee6b")


def trust(root: bytes) -> None:
    """Replace the root key that is built into the loaded library; it must be there exactly once."""
    hits = []
    for line in Path("/proc/self/maps").read_text().splitlines():
        if "neonize" in line and " rw-p " in line:
            start, end = (int(part, 16) for part in line.split(" ", 1)[0].split("-"))
            memory = ctypes.string_at(start, end - start)
            at = memory.find(WHATSMEOW_ROOT)
            while at >= 0:
                hits.append(start + at)
                at = memory.find(WHATSMEOW_ROOT, at + 1)
    assert len(hits) == 1, f"the root key was found {len(hits)} times"
    ctypes.memmove(hits[0], root, len(root))


class Wire:
    """Orders in, events out."""

    def __init__(self, descriptor: int) -> None:
        self.socket = socket.socket(fileno=descriptor)
        self.reader = self.socket.makefile("r", encoding="utf-8")
        self.lock = threading.Lock()

    def say(self, event: str, **more: object) -> None:
        with self.lock:
            self.socket.sendall((json.dumps({"event": event} | more) + "\n").encode())


received: dict[str, Any] = {}  # messages by their id


def subscribe(client: Any, wire: Wire) -> None:
    from neonize import events as ev

    def connected(_: Any, event: Any) -> None:
        me = client.get_me()
        wire.say("connected", phone=me.JID.User, device=me.JID.Device, lid=me.LID.User)

    def message(_: Any, event: Any) -> None:
        source = event.Info.MessageSource
        received[event.Info.ID] = event.Message
        text = event.Message.conversation or event.Message.extendedTextMessage.text
        wire.say("message", id=event.Info.ID, text=text, sender=source.Sender.User, own=source.IsFromMe)

    def simple(name: str, **fields: str) -> Callable[[Any, Any], None]:
        return lambda _, event: wire.say(
            name, **{key: int(getattr(event, field)) for key, field in fields.items()}
        )

    client.event.qr(lambda _, data: wire.say("qr", qr=data.decode()))
    client.event(ev.ConnectedEv)(connected)
    client.event(ev.MessageEv)(message)
    client.event(ev.ReceiptEv)(
        lambda _, event: wire.say("receipt", ids=list(event.MessageIDs), type=int(event.Type))
    )
    client.event(ev.LoggedOutEv)(simple("logged_out"))
    client.event(ev.StreamReplacedEv)(simple("replaced"))
    client.event(ev.ClientOutdatedEv)(simple("outdated"))
    client.event(ev.DisconnectedEv)(simple("disconnected"))
    client.event(ev.TemporaryBanEv)(simple("banned", code="Code", expire="Expire"))
    client.event(ev.ConnectFailureEv)(simple("failure", reason="Reason"))


def handle(client: Any, wire: Wire, order: dict[str, Any]) -> None:
    from neonize.utils.jid import build_jid

    match order["do"]:
        case "pair_code":
            wire.say("code", code=client.PairPhone(order["phone"], True))
        case "send":
            wire.say("sent", id=client.send_message(build_jid(order["phone"]), order["text"]).ID)
        case "send_document":
            data = bytes.fromhex(order["data"])
            content = client.build_document_message(data, order["caption"], filename=order["name"])
            wire.say("sent", id=client.send_message(build_jid(order["phone"]), content).ID)
        case "download":
            data = client.download_any(received[order["id"]])
            wire.say("downloaded", id=order["id"], data=data.hex())
        case "on_whatsapp":
            found = client.is_on_whatsapp(*order["phones"])
            wire.say("on_whatsapp", found={item.Query.lstrip("+"): item.IsIn for item in found})
        case "logout":
            client.logout()
            wire.say("unlinked")


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for a client
    with deferred_loading(version("neonize")) as compiled:
        import neonize.client
        import neonize.events  # noqa: F401
    while True:
        message, descriptors, _flags, _address = socket.recv_fds(control, 4096, 1)
        if not message:
            os._exit(0)
        if (pid := os.fork()) == 0:
            control.close()
            compiled.load()
            run(descriptors[0], **json.loads(message))
        os.close(descriptors[0])
        pidfd = os.pidfd_open(pid)
        socket.send_fds(control, [b"started"], [pidfd])
        os.close(pidfd)


def run(descriptor: int, root: str, store: str) -> NoReturn:
    """One client, until its test hangs up."""
    from neonize.client import NewClient

    wire = Wire(descriptor)
    os.chdir(Path(store).parent)
    trust(bytes.fromhex(root))
    client = NewClient(store, uuid="test")
    subscribe(client, wire)
    threading.Thread(target=client.connect, daemon=True).start()
    for line in wire.reader:
        try:
            handle(client, wire, json.loads(line))
        except Exception as error:  # noqa: BLE001  every failure is the test's to judge
            wire.say("error", what=f"{type(error).__name__}: {error}")
    os._exit(0)  # the library cannot be stopped while a QR code is shown


if __name__ == "__main__":
    main()
