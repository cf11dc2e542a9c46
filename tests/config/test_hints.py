"""Pushes to pages through a channel layer that hangs: nobody waits for them, and they are bounded."""

import asyncio
from collections.abc import Iterator

import pytest
from channels.layers import channel_layers

from config.shared import hints
from config.shared.database import in_thread
from whatsapp.models import Session
from whatsapp.sessions import services

# The threads keep connections of earlier tests, and look at them.
pytestmark = pytest.mark.django_db(transaction=True)
PATIENCE = 60


class HangingLayer:
    """Sends nothing before it is let go."""

    def __init__(self) -> None:
        self.let_go = asyncio.Event()
        self.sent: list[str] = []

    async def group_send(self, group: str, _message: dict[str, str]) -> None:
        await self.let_go.wait()
        self.sent.append(group)


@pytest.fixture
def layer(monkeypatch: pytest.MonkeyPatch) -> Iterator[HangingLayer]:
    monkeypatch.setattr(hints, "PUSH_TIMEOUT", 3600.0)
    former, layer = channel_layers["default"], HangingLayer()
    channel_layers.set("default", layer)
    yield layer
    channel_layers.set("default", former)


def lost(reason: str) -> float:
    return float(hints.PUSHES_LOST.labels(reason=reason)._value.get())


async def until_sent(layer: HangingLayer, number: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while len(layer.sent) < number:
            await asyncio.sleep(0.01)


async def test_a_layer_that_hangs_holds_up_no_row_write(layer: HangingLayer) -> None:
    session = await in_thread(services.create_session)
    for number in range(10):
        async with asyncio.timeout(PATIENCE):
            await in_thread(services.mark_changed, session=session)
        assert (await in_thread(Session.objects.get, pk=session.pk)).version == number + 1
    layer.let_go.set()
    await until_sent(layer, 10)
    assert set(layer.sent) == {hints.group_of(session.pk)}


async def test_pushes_beyond_the_bound_are_dropped_and_counted(
    layer: HangingLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hints, "PUSHES_MOST", 3)
    before = lost("too many")
    session = await in_thread(services.create_session)
    async with asyncio.timeout(PATIENCE):
        for _ in range(5):
            await in_thread(services.mark_changed, session=session)
    assert lost("too many") == before + 2
    layer.let_go.set()
    await until_sent(layer, 3)
    await in_thread(services.mark_changed, session=session)  # it sends again
    await until_sent(layer, 4)


async def test_a_push_that_takes_too_long_is_given_up_and_counted(
    layer: HangingLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hints, "PUSH_TIMEOUT", 0.01)
    before = lost("timeout")
    session = await in_thread(services.create_session)
    await in_thread(services.mark_changed, session=session)
    async with asyncio.timeout(PATIENCE):
        while lost("timeout") == before:
            await asyncio.sleep(0.01)
    assert layer.sent == []
