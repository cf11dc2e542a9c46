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
        self._ready = threading.Event()
        self._through: asyncio.Event
        self._pipes: set[asyncio.Task[None]] = set()
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

    def block(self) -> None:
        """Stop carrying bytes; returns when not one more gets through."""
        self._call(self._set(False))

    def unblock(self) -> None:
        """Carry bytes again, those of the meantime first."""
        self._call(self._set(True))

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

    async def _set(self, through: bool) -> None:
        (self._through.set if through else self._through.clear)()

    async def _close(self) -> None:
        self._server.close()
        for pipe in self._pipes:
            pipe.cancel()
        await asyncio.gather(*self._pipes, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._through.wait()
        there_reader, there_writer = await asyncio.open_connection(*self._target)
        for source, sink in ((reader, there_writer), (there_reader, writer)):
            pipe = asyncio.create_task(self._carry(source, sink))
            self._pipes.add(pipe)
            pipe.add_done_callback(self._pipes.discard)

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(CHUNK):
                await self._through.wait()
                sink.write(data)
                await sink.drain()
        except ConnectionError:
            return  # one side is gone, and with it what was to be carried
        finally:
            await self._through.wait()
            sink.close()
