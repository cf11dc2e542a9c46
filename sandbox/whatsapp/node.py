"""The binary node codec: WhatsApp's compact form of XML.

Only the token dictionaries come from pyaileys. Its codec reads every string that holds an ``@`` as an
address and cannot tell raw bytes from tokens, and its package imports a whole client; so the one file
with the tables is loaded by itself.
"""

from __future__ import annotations

import importlib.util
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

USER_SERVER = "s.whatsapp.net"
LID_SERVER = "lid"
SERVER = "@" + USER_SERVER  # the server itself: a JID without a user
JID_PATTERN = re.compile(
    r"^([0-9+-]*)(?::([0-9]+))?@(s\.whatsapp\.net|lid|c\.us|g\.us|broadcast|newsletter|hosted|call|bot)$"
)
NIBBLES = "0123456789-."
HEX = "0123456789ABCDEF"
LIST_EMPTY, JID_PAIR, AD_JID, FB_JID, INTEROP_JID = 0, 250, 247, 246, 245
LIST_8, LIST_16, HEX_8, BINARY_8, BINARY_20, BINARY_32, NIBBLE_8 = 248, 249, 251, 252, 253, 254, 255
DICTIONARY_0, DICTIONARY_3 = 236, 239
PACKED_MAX = 127


class BadNode(ValueError):
    """Bytes that are not a node."""


def _tables() -> tuple[list[str], list[list[str]]]:
    spec = importlib.util.find_spec("pyaileys")
    if spec is None or spec.origin is None:
        raise ImportError("the package pyaileys is needed for WhatsApp's token dictionaries")
    path = Path(spec.origin).parent / "wabinary" / "constants.py"
    table = importlib.util.spec_from_file_location("sandbox_whatsapp_tokens", path)
    if table is None or table.loader is None:
        raise ImportError(f"no token dictionaries in {path.name}")
    module: Any = importlib.util.module_from_spec(table)
    table.loader.exec_module(module)
    return module.SINGLE_BYTE_TOKENS, module.DOUBLE_BYTE_TOKENS


SINGLE_TOKENS, DOUBLE_TOKENS = _tables()
TOKENS: dict[str, bytes] = {
    word: bytes([DICTIONARY_0 + number, index])
    for number, words in enumerate(DOUBLE_TOKENS)
    for index, word in enumerate(words)
}
TOKENS |= {word: bytes([index]) for index, word in enumerate(SINGLE_TOKENS) if word}


class Jid(NamedTuple):
    """An address: digits, device (0 is the phone itself) and server."""

    user: str
    device: int
    server: str

    @classmethod
    def parse(cls, text: str) -> Jid | None:
        match = JID_PATTERN.match(text)
        return cls(match[1], int(match[2] or 0), match[3]) if match else None

    def __str__(self) -> str:
        return f"{self.user}{f':{self.device}' if self.device else ''}@{self.server}"


@dataclass(slots=True)
class Node:
    """One element. Content is children, raw bytes, or nothing; addresses are kept as text."""

    tag: str
    attrs: dict[str, str] = field(default_factory=dict)
    content: list[Node] | bytes | None = None

    @property
    def children(self) -> list[Node]:
        return self.content if isinstance(self.content, list) else []

    @property
    def data(self) -> bytes:
        return self.content if isinstance(self.content, bytes) else b""

    def child(self, tag: str) -> Node | None:
        return next((child for child in self.children if child.tag == tag), None)

    def data_of(self, tag: str) -> bytes:
        """The raw bytes in the first child of that name, empty when there is none."""
        found = self.child(tag)
        return found.data if found else b""

    def jid(self, attribute: str) -> Jid | None:
        return Jid.parse(self.attrs.get(attribute, ""))


def encode(node: Node) -> bytes:
    """A node as the payload of a frame, with its leading flag byte (0: not compressed)."""
    out = bytearray(b"\0")
    _write_node(out, node)
    return bytes(out)


def _write_node(out: bytearray, node: Node) -> None:
    _write_list_start(out, 1 + 2 * len(node.attrs) + (node.content is not None))
    _write_string(out, node.tag)
    for key, value in node.attrs.items():
        _write_string(out, key)
        jid = Jid.parse(value) if "@" in value else None
        if jid:
            _write_jid(out, jid)
        else:
            _write_string(out, value)
    if isinstance(node.content, bytes):
        _write_raw(out, node.content)
    elif node.content is not None:
        _write_list_start(out, len(node.content))
        for child in node.content:
            _write_node(out, child)


def _write_list_start(out: bytearray, size: int) -> None:
    if size == 0:
        out.append(LIST_EMPTY)
    elif size < 256:
        out += bytes([LIST_8, size])
    else:
        out.append(LIST_16)
        out += size.to_bytes(2, "big")


def _write_string(out: bytearray, text: str) -> None:
    token = TOKENS.get(text)
    if token:
        out += token
    elif text and len(text) <= PACKED_MAX and all(char in NIBBLES for char in text):
        _write_packed(out, NIBBLE_8, text, NIBBLES)
    elif text and len(text) <= PACKED_MAX and all(char in HEX for char in text):
        _write_packed(out, HEX_8, text, HEX)
    else:
        _write_raw(out, text.encode())


def _write_packed(out: bytearray, tag: int, text: str, alphabet: str) -> None:
    out += bytes([tag, (len(text) + 1) // 2 | (128 if len(text) % 2 else 0)])
    digits = [alphabet.index(char) for char in text] + [15] * (len(text) % 2)
    out += bytes(high << 4 | low for high, low in zip(digits[::2], digits[1::2], strict=True))


def _write_raw(out: bytearray, data: bytes) -> None:
    size = len(data)
    if size < 256:
        out += bytes([BINARY_8, size])
    elif size < 1 << 20:
        out.append(BINARY_20)
        out += size.to_bytes(3, "big")
    else:
        out.append(BINARY_32)
        out += size.to_bytes(4, "big")
    out += data


def _write_jid(out: bytearray, jid: Jid) -> None:
    if jid.device and jid.server in (USER_SERVER, LID_SERVER):
        out += bytes([AD_JID, 1 if jid.server == LID_SERVER else 0, jid.device])
        _write_string(out, jid.user)
        return
    out.append(JID_PAIR)
    if jid.user:
        _write_string(out, jid.user)
    else:
        out.append(LIST_EMPTY)
    _write_string(out, jid.server)
