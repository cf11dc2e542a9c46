"""The two protobuf field kinds of Signal's messages, whose classes no Python package here carries."""

from __future__ import annotations

VARINT, BYTES = 0, 2


def write_field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3 | VARINT) + _varint(value)
    return _varint(number << 3 | BYTES) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def read_fields(data: bytes) -> dict[int, int | bytes]:
    """Fields by number; of a repeated one the last. Raises ValueError or IndexError on damage."""
    fields: dict[int, int | bytes] = {}
    at = 0
    while at < len(data):
        key, at = _read_varint(data, at)
        value, at = _read_varint(data, at)
        if key & 7 == VARINT:
            fields[key >> 3] = value
        elif key & 7 == BYTES:
            if at + value > len(data):
                raise ValueError("a field ends early")
            fields[key >> 3] = data[at : at + value]
            at += value
        else:
            raise ValueError("a field of an unexpected kind")
    return fields


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a number that is too long")


def bytes_field(fields: dict[int, int | bytes], number: int) -> bytes:
    value = fields[number]
    if not isinstance(value, bytes):
        raise ValueError("a number where bytes belong")
    return value
