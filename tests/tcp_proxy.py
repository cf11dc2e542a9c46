"""A TCP proxy that can block a server as a firewall does: connections stay open and carry no bytes."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit, urlunsplit

T = TypeVar("T")
CHUNK = 64 * 1024
START_SECONDS = 30


class TcpProxy:
    """Forwards connections from a loopback port to `host:port`, on a thread of its own.

    After `block` every connection stays open and carries nothing, in either direction, and new ones are taken
    but not answered; after `unblock` what was held back arrives, as it does when a network comes back.
    """

    def __init__(self, host: str, port: int) -> None:
        self.port = 0
        self._target = host, port
        self._last = b""
        self._ready = threading.Event()
        self._through: asyncio.Event
        self._pipes: set[asyncio.Task[None]] = set()
        self._server_ends: set[asyncio.StreamWriter] = set()
        self._giving_up: asyncio.TimerHandle | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="tcp-proxy", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._ready.wait(START_SECONDS):
            raise TimeoutError("the TCP proxy did not start")
        return self

    def __exit__(self, *_error: object) -> None:
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def url_through(self, url: str) -> str:
        """The same address, reached through this proxy."""
        parts = urlsplit(url)
        user = f"{parts.username}@" if parts.username else ""
        return urlunsplit(parts._replace(netloc=f"{user}127.0.0.1:{self.port}"))

    def block(self, *, server_gives_up: float | None = None) -> None:
        """Stop carrying bytes; returns when not one more gets through.

        After `server_gives_up` seconds the server's ends of the connections are closed, as its system closes
        those whose other end answers no keepalive any more; clients are not told.
        """
        self._call(self._set(False, server_gives_up=server_gives_up))

    def block_after(self, words: bytes) -> None:
        """As `block`, at the moment when a client has sent these words: the server has them, and nothing
        that comes after them, and its answer does not arrive."""
        self._call(self._set(True, last=words))

    def unblock(self) -> None:
        """Carry bytes again, those of the meantime first."""
        self._call(self._set(True))

    @property
    def blocked(self) -> bool:
        """It carries nothing at this moment."""
        return not self._through.is_set()

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(START_SECONDS)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._open())
        self._loop.run_forever()

    async def _open(self) -> None:
        self._through = asyncio.Event()
        self._through.set()
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        self._ready.set()

    async def _set(self, through: bool, *, last: bytes = b"", server_gives_up: float | None = None) -> None:
        self._last = last
        (self._through.set if through else self._through.clear)()
        if self._giving_up:
            self._giving_up.cancel()
            self._giving_up = None
        if server_gives_up is not None:
            self._giving_up = self._loop.call_later(server_gives_up, self._close_server_ends)

    def _close_server_ends(self) -> None:
        for sink in self._server_ends:
            sink.transport.abort()

    async def _close(self) -> None:
        self._server.close()
        for pipe in self._pipes:
            pipe.cancel()
        await asyncio.gather(*self._pipes, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._through.wait()
        there_reader, there_writer = await asyncio.open_connection(*self._target)
        self._server_ends.add(there_writer)
        for source, sink in ((reader, there_writer), (there_reader, writer)):
            pipe = asyncio.create_task(self._carry(source, sink))
            self._pipes.add(pipe)
            pipe.add_done_callback(self._pipes.discard)

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(CHUNK):
                await self._through.wait()
                sink.write(data)
                if self._last and self._last in data:
                    self._through.clear()
                await sink.drain()
        except ConnectionError:
            return  # one side is gone, and with it what was to be carried
        finally:
            await self._through.wait()
            sink.close()
            self._server_ends.discard(sink)
