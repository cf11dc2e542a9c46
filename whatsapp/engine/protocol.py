"""The line protocol between the session pool and a WhatsApp engine: one JSON object per line.

Commands go from the pool to an engine, events come back. A session is named by its uuid as text
(with dashes). Times are seconds; `at` is seconds since the epoch. Phone numbers are digits in
international form without a plus. A JID is text such as `79991234567:2@s.whatsapp.net`; a LID is
WhatsApp's private number of a person or device, such as `8812345@lid`.

Fields that are secret or personal are left out of `repr`, so that an event can be logged. Fields of bytes
are not on the line: see `file_passing`.
"""

from __future__ import annotations

import json
from dataclasses import MISSING, fields
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict

from whatsapp.engine.commands import Command
from whatsapp.engine.events import Event, Location, MediaReference, NumberResult

Message = Command | Event


class ProtocolError(ValueError):
    """A line that is not a message of this protocol."""


_TYPES: dict[str, type[Any]] = {cls.__name__: cls for cls in get_args(Message)}
_HINTS: dict[type[Any], dict[str, Any]] = {
    cls: {name: hint for name, hint in get_type_hints(cls).items() if hint is not bytes}
    for cls in (*_TYPES.values(), NumberResult, MediaReference, Location)
}


def encode(message: Message) -> bytes:
    """The message as one line, newline included."""
    body: dict[str, Any] = {"type": type(message).__name__}
    body.update((name, getattr(message, name)) for name in _HINTS[type(message)])
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def decode(line: bytes, *, of_any_version: bool = False) -> Message:
    """The message in a line. Raises ProtocolError on anything that `encode` would not write.

    With `of_any_version`, for lines that another version of the product has kept, fields that this one does
    not know are left out, and those with a default that are missing or not understood get it. The error
    never repeats a value: lines carry secrets.
    """
    try:
        body = json.loads(line)
    except (ValueError, RecursionError):
        raise ProtocolError("not JSON") from None
    if not isinstance(body, dict):
        raise ProtocolError("not an object")
    cls = _TYPES.get(str(body.pop("type", "")))
    if cls is None:
        raise ProtocolError("unknown type")
    hints = _HINTS[cls]
    if of_any_version:
        body = _understood(body, cls)
    if body.keys() != hints.keys():
        raise ProtocolError(f"{cls.__name__}: wrong fields")
    for name, hint in hints.items():
        if not _fits(body[name], hint):
            raise ProtocolError(f"{cls.__name__}.{name}: wrong type")
    message: Message = cls(**body)
    return message


def _understood(body: dict[str, Any], cls: type[Any]) -> dict[str, Any]:
    """The fields of another version's message as far as this one knows them."""
    hints = _HINTS[cls]
    known = {f.name: f.default for f in fields(cls) if f.default is not MISSING and f.name in hints}
    for name, hint in hints.items():
        if name in body:
            value = _without_unknown(body[name], hint)
            if name not in known or _fits(value, hint):
                known[name] = value
    return known


def _without_unknown(value: object, hint: Any) -> object:
    for option in (hint, *get_args(hint)):
        if is_typeddict(option) and isinstance(value, dict):
            return {name: item for name, item in value.items() if name in _HINTS[option]}
    return value


def _fits(value: object, hint: Any) -> bool:
    origin = get_origin(hint)
    if origin is Literal:
        return isinstance(value, str) and value in get_args(hint)
    if origin in (Union, UnionType):
        return any(_fits(value, option) for option in get_args(hint))
    if origin is list:
        return isinstance(value, list) and all(_fits(item, get_args(hint)[0]) for item in value)
    if is_typeddict(hint):
        return _fits_dict(value, _HINTS[hint])
    if hint is NoneType:
        return value is None
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint)


def _fits_dict(value: object, hints: dict[str, Any]) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == hints.keys()
        and all(_fits(value[name], hint) for name, hint in hints.items())
    )
