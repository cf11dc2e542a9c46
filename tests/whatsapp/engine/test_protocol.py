"""The lines between pool, supervisor and hosts."""

from __future__ import annotations

import subprocess
import sys

import pytest

from whatsapp.engine import EngineError, EngineSettings
from whatsapp.engine.commands import CheckNumbers, Send, Start
from whatsapp.engine.events import (
    Banned,
    Connected,
    Incoming,
    NumberResult,
    NumbersChecked,
    PairingCode,
    QrCode,
    Receipt,
)
from whatsapp.engine.protocol import Message, ProtocolError, decode, encode

SESSION = "5d3f7a52-7f3b-4a54-9f6a-0d4b8b0f6a11"
MESSAGES: list[Message] = [
    Start(SESSION, "/stores/a.db", True, False),
    Send(SESSION, "42", "79990000002", "Ждём вас\nзавтра в 12:00 ✂"),
    CheckNumbers(SESSION, "7", ["79990000002", "79990000003"]),
    Banned(SESSION, 101, None, "send_to_too_many_people"),
    Connected(SESSION, "79990000001", "79990000001:1@s.whatsapp.net", None, "Salon"),
    Receipt(SESSION, ["3EB0", "3EB1"], "read", 1795425868.5),
    NumbersChecked(SESSION, "7", [NumberResult(phone="7999", jid=None, lid=None, on_whatsapp=False)]),
    Incoming(SESSION, "3A34", None, "171229936301147@lid", None, "image", 1795425868.0),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_survives_the_line(message: Message) -> None:
    line = encode(message)
    assert line.count(b"\n") == 1
    assert decode(line) == message


@pytest.mark.parametrize(
    "line",
    [
        b"Press Ctrl+C to exit\n",
        b"[]\n",
        b'{"type":"Explode","session":"a"}\n',
        b'{"type":"Stop"}\n',
        b'{"type":"Stop","session":"a","more":1}\n',
        b'{"type":"Stop","session":1}\n',
        b'{"type":"Receipt","session":"a","message_ids":[1],"kind":"read","at":1}\n',
        b'{"type":"Receipt","session":"a","message_ids":[],"kind":"eaten","at":1}\n',
        b'{"type":"Ping","nonce":true}\n',
        b'{"type":"NumbersChecked","session":"a","ref":"b","results":[{"phone":"1"}],"error":null}\n',
    ],
)
def test_anything_else_is_refused(line: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode(line)


def test_a_refused_line_does_not_repeat_its_secrets() -> None:
    with pytest.raises(ProtocolError) as refusal:
        decode(b'{"type":"QrCode","session":"a","text":"2@secret","lifetime":"long"}\n')
    assert "secret" not in str(refusal.value)


def test_secrets_and_people_are_not_shown_in_logs() -> None:
    shown = repr(
        [
            QrCode(SESSION, "https://wa.me/settings/linked_devices#1,2,3", 60),
            PairingCode(SESSION, "6R4J-8Q3R", 50),
            Send(SESSION, "42", "79990000002", "Ждём вас"),
            Incoming(SESSION, "3A34", "79990000002", None, "Спасибо", None, 1.0),
        ]
    )
    assert not any(secret in shown for secret in ("wa.me", "8Q3R", "79990000002", "Ждём", "Спасибо"))


def test_another_noise_root_needs_sandbox_mode() -> None:
    with pytest.raises(EngineError):
        EngineSettings(noise_root="00" * 32)


def test_the_engine_imports_without_django_and_without_the_library() -> None:
    code = (
        "import sys, whatsapp.engine.supervisor;"
        "bad = {'django', 'neonize', 'sandbox'} & set(sys.modules);"
        "sys.exit(str(bad) if bad else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
