"""Reading a request's body with a limit: never more of it in memory than is allowed."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from django.http import HttpRequest

Receive = Callable[[], Awaitable[dict[str, Any]]]


class BodyTooLarge(Exception):
    """The body is longer than its limit."""


class BodyTooSlow(Exception):
    """The body did not arrive within its time."""


class ClientGone(Exception):
    """The client hung up before the end of its body."""


def read_body(request: HttpRequest, most: int) -> bytes:
    """Return the body of a request that has not been read yet, at most `most` bytes.

    Raises BodyTooLarge, before a byte is read when the request names its length, and UnreadablePostError.
    """
    named = request.META.get("CONTENT_LENGTH")
    length = int(named) if named and named.isdecimal() else most + 1  # a chunked body names none
    if named and length > most:
        raise BodyTooLarge
    body: bytes = request.read(length)
    if len(body) > most:
        raise BodyTooLarge
    return body


async def receive_body(
    receive: Receive, headers: list[tuple[bytes, bytes]], *, most: int, seconds: float
) -> bytes:
    """Return the body that an ASGI server hands over, at most `most` bytes within `seconds`.

    Raises BodyTooLarge, before a byte is read when the headers name the length, BodyTooSlow, ClientGone.
    """
    for name, value in headers:
        if name == b"content-length" and value.isdigit() and int(value) > most:
            raise BodyTooLarge
    try:
        async with asyncio.timeout(seconds):
            return await _joined(receive, most)
    except TimeoutError as error:
        raise BodyTooSlow from error


async def _joined(receive: Receive, most: int) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        body += message.get("body", b"")
        if len(body) > most:
            raise BodyTooLarge
        if not message.get("more_body"):
            return bytes(body)
