"""Reading half of the binary node codec."""

from __future__ import annotations

import zlib

from .node import (
    AD_JID,
    BINARY_8,
    BINARY_20,
    BINARY_32,
    DICTIONARY_0,
    DICTIONARY_3,
    DOUBLE_TOKENS,
    FB_JID,
    HEX,
    HEX_8,
    INTEROP_JID,
    JID_PAIR,
    LID_SERVER,
    LIST_8,
    LIST_16,
    LIST_EMPTY,
    NIBBLE_8,
    NIBBLES,
    SINGLE_TOKENS,
    USER_SERVER,
    BadNode,
    Jid,
    Node,
)

COMPRESSED = 2
MAX_INFLATED = 8 << 20
DOMAINS = {0: USER_SERVER, 1: LID_SERVER, 128: "hosted", 129: "hosted.lid"}


def decode(frame: bytes) -> Node:
    """The node in a decrypted frame (flag byte first); raises BadNode."""
    if not frame:
        raise BadNode("an empty frame")
    body = frame[1:]
    try:
        if frame[0] & COMPRESSED:
            inflater = zlib.decompressobj()
            body = inflater.decompress(body, MAX_INFLATED)
        return _Reader(body).node()
    except (IndexError, UnicodeDecodeError, RecursionError, zlib.error) as error:
        raise BadNode(f"a frame that cannot be read: {type(error).__name__}") from error


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def byte(self) -> int:
        value = self.data[self.at]
        self.at += 1
        return value

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def take(self, size: int) -> bytes:
        if self.at + size > len(self.data):
            raise BadNode("a frame ends early")
        self.at += size
        return self.data[self.at - size : self.at]

    def list_size(self, tag: int) -> int:
        if tag == LIST_EMPTY:
            return 0
        if tag == LIST_8:
            return self.byte()
        if tag == LIST_16:
            return self.number(2)
        raise BadNode(f"no list: {tag}")

    def node(self) -> Node:
        size = self.list_size(self.byte())
        if size == 0:
            raise BadNode("an empty node")
        node = Node(self.string(self.byte()))
        for _ in range((size - 1) // 2):
            key = self.string(self.byte())
            node.attrs[key] = self.string(self.byte())
        if size % 2 == 0:
            node.content = self.content(self.byte())
        return node

    def content(self, tag: int) -> list[Node] | bytes | None:
        if tag in (LIST_8, LIST_16, LIST_EMPTY):
            return [self.node() for _ in range(self.list_size(tag))]
        raw = self.raw(tag)
        return raw if raw is not None else self.string(tag).encode()

    def raw(self, tag: int) -> bytes | None:
        if tag == BINARY_8:
            return self.take(self.byte())
        if tag == BINARY_20:
            return self.take(self.number(3) & 0xFFFFF)
        if tag == BINARY_32:
            return self.take(self.number(4))
        return None

    def string(self, tag: int) -> str:
        raw = self.raw(tag)
        if raw is not None:
            return raw.decode()
        if tag == LIST_EMPTY:
            return ""
        if DICTIONARY_0 <= tag <= DICTIONARY_3:
            return DOUBLE_TOKENS[tag - DICTIONARY_0][self.byte()]
        if tag in (NIBBLE_8, HEX_8):
            return self.packed(NIBBLES if tag == NIBBLE_8 else HEX)
        if tag in (JID_PAIR, AD_JID, FB_JID, INTEROP_JID):
            return self.jid(tag)
        if 0 < tag < len(SINGLE_TOKENS):
            return SINGLE_TOKENS[tag]
        raise BadNode(f"an unknown token: {tag}")

    def packed(self, alphabet: str) -> str:
        start = self.byte()
        digits = [half for byte in self.take(start & 127) for half in (byte >> 4, byte & 15)]
        return "".join(alphabet[digit] for digit in (digits[:-1] if start & 128 else digits))

    def jid(self, tag: int) -> str:
        if tag == AD_JID:
            domain, device = self.byte(), self.byte()
            user = self.string(self.byte())
            return str(Jid(user, device, DOMAINS.get(domain, USER_SERVER)))
        user = self.string(self.byte())
        if tag == JID_PAIR:
            return f"{user}@{self.string(self.byte())}"
        device = self.number(2)
        if tag == INTEROP_JID:
            self.number(2)
        return str(Jid(user, device, "msgr" if tag == FB_JID else "interop"))
