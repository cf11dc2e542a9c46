"""The channel layer of Redis, without the waits of its library.

There a publication waits until the one before it has been answered, and the receiving task wakes up ten
times a second to look again. Here all that is published while Redis answers goes out together as the next
batch, and the receiving task sleeps until something comes.
"""

import asyncio
from typing import Any

import structlog
from channels_redis.pubsub import (
    RedisPubSubChannelLayer,
    RedisPubSubLoopLayer,
    RedisSingleShardConnection,
)
from channels_redis.utils import _wrap_close, decode_hosts

log = structlog.get_logger("hints")

PUBLISH_TIMEOUT = 2.0  # seconds for one batch
LARGEST = 500  # publications in a batch
CLOSED = "the channel layer is closed"

Publication = tuple[str, bytes, "asyncio.Future[None]"]  # channel, message, and who waits until it is taken


class Connection(RedisSingleShardConnection):  # type: ignore[misc]  # ships no types
    """One event loop's connections to Redis."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._waiting: list[Publication] = []
        self._publishing: asyncio.Task[None] | None = None

    async def publish(self, channel: str, message: bytes) -> None:
        """Return when Redis has taken the message; raises what the Redis client raises, or TimeoutError."""
        taken = asyncio.get_running_loop().create_future()
        self._waiting.append((channel, message, taken))
        if self._publishing is None or self._publishing.done():
            self._publishing = asyncio.create_task(self._publish_waiting(), name="publish")
        await taken

    async def flush(self) -> None:
        """Close the connections."""
        if self._publishing is not None:
            self._publishing.cancel()
            await asyncio.wait({self._publishing})
        _settle(self._waiting, ConnectionError(CLOSED))
        self._waiting = []
        await super().flush()

    async def _publish_waiting(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:LARGEST], self._waiting[LARGEST:]
            await self._publish_batch(batch)

    async def _publish_batch(self, batch: list[Publication]) -> None:
        error: Exception | None = None
        try:
            self._ensure_redis()
            async with asyncio.timeout(PUBLISH_TIMEOUT), self._redis.pipeline(transaction=False) as pipeline:
                for channel, message, _taken in batch:
                    pipeline.publish(channel, message)
                await pipeline.execute()
        except asyncio.CancelledError:
            _settle(batch, ConnectionError(CLOSED))
            raise
        except Exception as failure:  # noqa: BLE001  it belongs to those who wait
            error = failure
        _settle(batch, error)

    async def _do_receiving(self) -> None:
        while True:
            try:
                if self._pubsub and self._pubsub.subscribed:
                    self._receive_message(await self._pubsub.get_message(timeout=None))
                else:
                    await asyncio.sleep(0.1)
            except Exception as error:  # noqa: BLE001  any fault: it is tried again, and pages poll meanwhile
                log.warning("nothing is received from Redis", error=repr(error))
                await asyncio.sleep(1)

    def _receive_message(self, message: dict[str, Any] | None) -> None:
        if message is not None and message["type"] == "message":
            super()._receive_message(message)


def _settle(batch: list[Publication], error: Exception | None) -> None:
    """Tell those who wait; some have given up."""
    for _channel, _message, taken in batch:
        if taken.done():
            continue
        if error is None:
            taken.set_result(None)
        else:
            taken.set_exception(error)


class LoopLayer(RedisPubSubLoopLayer):  # type: ignore[misc]
    """The layer as one event loop uses it."""

    def __init__(self, hosts: list[str], **options: Any) -> None:
        super().__init__(hosts, **options)
        self._shards = [Connection(host, self) for host in decode_hosts(hosts)]


class ChannelLayer(RedisPubSubChannelLayer):  # type: ignore[misc]
    """The backend that the settings name."""

    def _get_layer(self) -> LoopLayer:
        loop = asyncio.get_running_loop()
        layer: LoopLayer | None = self._layers.get(loop)
        if layer is None:
            layer = self._layers[loop] = LoopLayer(*self._args, **self._kwargs, channel_layer=self)
            _wrap_close(self, loop)
        return layer
