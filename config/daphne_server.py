"""Daphne as this product runs it: no access log, and limits on how much a client sends and how slowly.

Twisted reads a whole request, however long, before Daphne calls the application, so that a limit in the
application comes too late. The classes here are used by `daphne config.asgi:application` and by every other
Daphne server in a process that has called `install`.
"""

import json
import re
from typing import Any

import structlog
from daphne import cli, http_protocol, server
from twisted.web import http

from whatsapp.engine.outgoing_media import MAX_MEDIA_BYTES

log = structlog.get_logger("web")

LARGEST_BODY = (
    4 * 1024 * 1024
)  # bytes: the operator's requests; other addresses have lower limits of their own
REQUEST_SECONDS = 30.0  # from the first byte of a request to the last of its body
# Where files are uploaded: a file and what is posted with it, from a phone on a slow line.
UPLOADS = re.compile(
    rb"/(cabinet/[0-9]{1,19}/(replies/[0-9]{1,19}/answer|texts/[a-z_]{1,20}/picture)|api/v1/messages)(\?.*)?"
)
LARGEST_UPLOAD = MAX_MEDIA_BYTES + 256 * 1024
UPLOAD_SECONDS = 120.0
# A refused client finds out why only when it has stopped sending; what it sends meanwhile is thrown away.
LINGER_SECONDS = 2.0
REASONS = {408: "The request did not arrive in time.", 413: "The body is too large."}


def install() -> None:
    """Make Daphne use the classes below."""
    cli.CommandLineInterface.server_class = Server
    server.HTTPFactory = Factory


class Server(server.Server):  # type: ignore[misc]
    """Writes no access log: it would name the query strings and addresses in which secrets travel."""

    def __init__(self, application: Any, **options: Any) -> None:
        super().__init__(application, **{**options, "action_logger": None})


class Request(http_protocol.WebRequest):  # type: ignore[misc]
    """Holds at most LARGEST_BODY of a body, more of an upload; does not parse forms, which Django does."""

    def __init__(self, channel: "Channel", *_queued: Any) -> None:
        super().__init__(channel, parsePOSTFormSubmission=False)
        self._received = 0
        self._largest = LARGEST_BODY

    def gotLength(self, length: int | None) -> None:
        """Called with the length that the headers name, None for a chunked body."""
        if self.channel.is_upload():
            self._largest = LARGEST_UPLOAD
            self.channel.give_time(UPLOAD_SECONDS)
        if length is not None and length > self._largest:
            self.channel.refuse(413)
            length = 0
        super().gotLength(length)

    def handleContentChunk(self, data: bytes) -> None:
        """Called with each piece of the body."""
        self._received += len(data)
        if self._received > self._largest:
            self.channel.refuse(413)
        if not self.channel.refused:
            super().handleContentChunk(data)

    def process(self) -> Any:
        """Called when all has arrived."""
        self.requestHeaders.removeHeader(b"daphne-root-path")  # not for clients to choose
        return super().process()


class Channel(http.HTTPChannel):  # type: ignore[misc]
    """One connection: a request on it must have arrived REQUEST_SECONDS after its first byte."""

    def __init__(self) -> None:
        super().__init__()
        self.requestFactory = Request
        self.refused = False
        self._answering = False
        self._deadline: Any = None

    def dataReceived(self, data: bytes) -> None:
        """Called with whatever the client sends."""
        if self._deadline is None and not self._answering:
            self._deadline = self.callLater(REQUEST_SECONDS, self.refuse, 408)
        super().dataReceived(data)

    def allContentReceived(self) -> None:
        """Called at the end of a request."""
        self._cancel_deadline()
        if self.refused:
            self.loseConnection()
            return
        self._answering = True
        super().allContentReceived()

    def requestDone(self, request: Any) -> None:
        """Called when a request has been answered."""
        self._answering = False
        super().requestDone(request)

    def connectionLost(self, reason: Any) -> None:
        """Called at the end of the connection."""
        self._cancel_deadline()
        super().connectionLost(reason)

    def refuse(self, status: int) -> None:
        """Answer with an HTTP status and hang up soon."""
        if self.refused:
            return
        self.refused = True
        log.warning("request cut off", status=status)
        body = json.dumps({"success": False, "error": REASONS[status]}).encode()
        head = f"HTTP/1.1 {status} {http.RESPONSES[status].decode()}\r\nConnection: close\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self.transport.write(head.encode() + body)
        self.callLater(LINGER_SECONDS, self.transport.abortConnection)

    def is_upload(self) -> bool:
        """Whether the request that is arriving may bring a file."""
        # Twisted gives the request its address only when the body is there.
        return self._command == b"POST" and UPLOADS.fullmatch(self._path) is not None

    def give_time(self, seconds: float) -> None:
        """Let the request that is arriving take so long from now."""
        if self._deadline is not None and self._deadline.active():
            self._deadline.reset(seconds)

    def _cancel_deadline(self) -> None:
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        self._deadline = None


class Factory(http_protocol.HTTPFactory):  # type: ignore[misc]
    """Makes a Channel for each connection."""

    protocol = Channel

    def buildProtocol(self, address: Any) -> Any:
        """Called for each connection."""
        return http.HTTPFactory.buildProtocol(self, address)
