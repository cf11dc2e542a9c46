"""Causing the faults of ``faults.Faults`` and those that happen at once."""

from __future__ import annotations

import time
from typing import Any

from . import phones
from .client import Client
from .faults import FAILURE_REASONS, KINDS, MEDIA_FAULTS, LoginFailure
from .hub import Hub, digits
from .node import Node
from .refusal import Refused


def cause(hub: Hub, kind: str, phone: str | None, more: dict[str, Any]) -> dict[str, Any]:
    """Cause one kind of trouble for one number, or for everybody when ``phone`` is None.

    drop, replaced, device_removed: at once, to linked connections (``device_removed`` unlinks them;
    ``drop`` for everybody also cuts registrations). failure: the next ``times`` logins end with ``reason``
    (402 takes ``code`` and ``expire`` seconds; for everybody it meets registrations too). refuse:
    connections are refused for ``seconds``. silent: nothing is answered for ``seconds``. slow: everything
    is sent ``seconds`` later (0 ends it). lose_acks: the next ``times`` messages are swallowed.
    media: the next ``times`` uploads and downloads suffer ``fault``, one of MEDIA_FAULTS.
    qr_lifetime: ``first`` and ``next`` seconds. clear: ends what stands. Raises Refused.
    """
    if kind not in KINDS:
        raise Refused(400, f"There is no fault called {kind!r}. There are: {', '.join(KINDS)}.")
    number = digits(phone) if phone else ""
    try:
        affected = _cause(hub, kind, number, more)
    except (TypeError, ValueError) as error:
        raise Refused(400, "A field of the fault has the wrong type.") from error
    hub.journal.note("fault", phone=number, fault=kind, affected=affected)
    return {"kind": kind, "phone": number or None, "affected": affected}


def _cause(hub: Hub, kind: str, number: str, more: dict[str, Any]) -> int:
    faults = hub.faults
    if kind in ("drop", "replaced", "device_removed"):
        return _now(hub, kind, number)
    if kind == "failure":
        faults.failures[number] = _failure(more)
    elif kind == "refuse":
        faults.refuse_until = time.monotonic() + float(more.get("seconds", 10))
    elif kind == "silent":
        faults.silent_until[number] = time.monotonic() + float(more.get("seconds", 60))
    elif kind == "slow":
        faults.delays[number] = float(more.get("seconds", 1))
    elif kind == "lose_acks":
        faults.acks_to_lose[number] = int(more.get("times", 1))
    elif kind == "media":
        faults.media = (_media_fault(more), int(more.get("times", 1)))
    elif kind == "qr_lifetime":
        hub.options.qr_first = float(more.get("first", hub.options.qr_first))
        hub.options.qr_next = float(more.get("next", hub.options.qr_next))
    else:
        faults.clear()
    return 0


def _media_fault(more: dict[str, Any]) -> str:
    fault = str(more.get("fault"))
    if fault not in MEDIA_FAULTS:
        raise Refused(400, f"Media suffer one of these: {', '.join(MEDIA_FAULTS)}.")
    return fault


def _failure(more: dict[str, Any]) -> LoginFailure:
    failure = LoginFailure(
        int(more.get("reason", 503)), int(more.get("times", 1)), int(more.get("code", 101)),
        int(more.get("expire", 3600)),
    )  # fmt: skip
    if failure.reason not in FAILURE_REASONS:
        raise Refused(400, f"A login fails for one of these reasons: {FAILURE_REASONS}.")
    return failure


def _now(hub: Hub, kind: str, number: str) -> int:
    hit: list[Client] = [
        connection
        for connection in hub.everyone
        if not connection.ending and (connection.phone == number if number else True)
    ]
    if kind != "drop":
        hit = [connection for connection in hit if connection.linked]
    for connection in hit:
        if kind == "drop":
            connection.drop("dropped on demand")
        elif kind == "replaced":
            conflict = Node("conflict", {"type": "replaced"})
            connection.end(Node("stream:error", {}, [conflict]), "replaced on demand")
        else:
            phones.remove_devices(hub, phone=connection.phone, device=connection.key[1])
    return len(hit)
