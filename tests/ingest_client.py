"""Posts to the machines' addresses as an ASGI server hands requests to `config.asgi`, as production does."""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Reply:
    """What an application answered; the names of headers are in lower case."""

    status_code: int = 0
    content: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    def json(self) -> Any:
        return json.loads(self.content)


def post(path: str, body: Any, *, headers: dict[str, str] | None = None) -> Reply:
    """Post a JSON value, or raw bytes, from code that runs in no event loop."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return asyncio.run(ask(path, raw, headers={"Content-Length": str(len(raw)), **(headers or {})}))


async def ask(
    path: str,
    *chunks: bytes,
    method: str = "POST",
    headers: dict[str, str] | None = None,
    application: Any = None,
    leaves: bool = False,
) -> Reply:
    """Send a request with a body in chunks; `leaves`: the client hangs up instead of ending it."""
    if application is None:
        from config.asgi import application
    messages = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    messages.append({"type": "http.disconnect"} if leaves else {"type": "http.request", "more_body": False})
    reply = Reply()

    async def receive() -> dict[str, Any]:
        return messages.pop(0) if messages else await _never()

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            reply.status_code = message["status"]
            reply.headers = {name.decode(): value.decode("latin-1") for name, value in message["headers"]}
        else:
            reply.content += message.get("body", b"")

    await application(scope_of(path, method, headers or {}), receive, send)
    return reply


def scope_of(path: str, method: str, headers: dict[str, str]) -> dict[str, Any]:
    """Return the scope of a request for testserver."""
    named = {"Host": "testserver", "Content-Type": "application/json", **headers}
    return {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "scheme": "http",
        "headers": [
            (name.lower().encode(), text.encode("utf-8", "surrogateescape")) for name, text in named.items()
        ],
        "client": ("127.0.0.1", 50000),
        "server": ("testserver", 80),
    }


async def _never() -> dict[str, Any]:
    await asyncio.Event().wait()
    raise AssertionError("the event is never set")
