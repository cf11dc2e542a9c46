"""The channel layer on Redis: what is published together, and what happens when Redis does not answer."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from config.shared import channel_layer
from config.shared.channel_layer import ChannelLayer
from tests.servers import Redis

GROUP = "session.1"
PATIENCE = 60


@pytest.fixture
async def layer(own_redis: Redis) -> AsyncIterator[ChannelLayer]:
    layer = ChannelLayer(hosts=[own_redis.url], prefix="test")
    yield layer
    await layer.flush()


async def listening(layer: ChannelLayer) -> str:
    channel: str = await layer.new_channel()
    await layer.group_add(GROUP, channel)
    return channel


async def receive(layer: ChannelLayer, channel: str, number: int) -> list[int]:
    async with asyncio.timeout(PATIENCE):
        return [(await layer.receive(channel))["n"] for _ in range(number)]


async def test_what_is_published_at_once_arrives_in_order(
    layer: ChannelLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel_layer, "LARGEST", 7)
    channels = [await listening(layer) for _ in range(2)]
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*(layer.group_send(GROUP, {"n": n}) for n in range(50)))
        await layer.group_send(GROUP, {"n": 50})
    for channel in channels:
        assert await receive(layer, channel, 51) == list(range(51))


async def test_redis_that_hangs_fails_what_waits_and_hears_what_comes_later(
    layer: ChannelLayer, own_redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = await listening(layer)
    monkeypatch.setattr(channel_layer, "PUBLISH_TIMEOUT", 0.1)
    with own_redis.paused():
        sent = [layer.group_send(GROUP, {"n": n}) for n in range(3)]
        async with asyncio.timeout(PATIENCE):
            results = await asyncio.gather(*sent, return_exceptions=True)
    assert [type(result) for result in results] == [TimeoutError] * 3
    monkeypatch.undo()
    await layer.group_send(GROUP, {"n": 7})
    # What Redis had received before it hung may come as well.
    received: list[int] = []
    while 7 not in received:
        received += await receive(layer, channel, 1)


async def test_who_no_longer_waits_keeps_nobody_from_publishing(
    layer: ChannelLayer, own_redis: Redis
) -> None:
    channel = await listening(layer)
    with own_redis.paused():
        given_up = asyncio.create_task(layer.group_send(GROUP, {"n": 1}))
        waiting = asyncio.create_task(layer.group_send(GROUP, {"n": 2}))
        await asyncio.sleep(0)
        given_up.cancel()
        await asyncio.gather(given_up, return_exceptions=True)
    async with asyncio.timeout(PATIENCE):
        await waiting
    assert (await receive(layer, channel, 2))[-1] == 2
    assert given_up.cancelled()


async def test_what_waits_when_the_layer_is_closed_fails_and_it_can_be_used_again(
    layer: ChannelLayer,
) -> None:
    sent = asyncio.create_task(layer.group_send(GROUP, {"n": 1}))
    await asyncio.sleep(0)  # it waits, and nothing has been published
    await layer.flush()
    with pytest.raises(ConnectionError):
        await sent
    channel = await listening(layer)
    async with asyncio.timeout(PATIENCE):
        await layer.group_send(GROUP, {"n": 2})
    assert await receive(layer, channel, 1) == [2]


async def test_a_restarted_redis_is_listened_to_again(layer: ChannelLayer, own_redis: Redis) -> None:
    channel = await listening(layer)
    await asyncio.to_thread(own_redis.restart)
    heard = asyncio.create_task(layer.receive(channel))
    async with asyncio.timeout(PATIENCE):
        while not heard.done():
            await asyncio.gather(layer.group_send(GROUP, {"n": 1}), return_exceptions=True)
            await asyncio.sleep(0.05)
    assert heard.result() == {"n": 1}
