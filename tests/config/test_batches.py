"""What is submitted together is worked on together, and nobody waits for ever."""

import asyncio
import threading

import pytest

from config.shared.batches import Batches, Overloaded

PATIENCE = 60


class Gate:
    """Work that begins and waits until it may go on."""

    def __init__(self) -> None:
        self.entered, self.go_on = threading.Event(), threading.Event()
        self.batches: list[list[int]] = []

    def work(self, items: list[int]) -> list[int]:
        self.batches.append(items)
        self.entered.set()
        assert self.go_on.wait(PATIENCE)
        return items


async def test_a_lone_item_is_worked_on_at_once() -> None:
    batches: Batches[int, int] = Batches(
        lambda items: [2 * item for item in items], name="t", threads=1, largest=4
    )
    assert await batches.submit(21) == 42


async def test_what_arrives_meanwhile_makes_up_the_next_batches() -> None:
    gate = Gate()
    batches: Batches[int, int] = Batches(gate.work, name="t", threads=1, largest=3)
    waiting = [asyncio.create_task(batches.submit(0))]
    assert await asyncio.to_thread(gate.entered.wait, PATIENCE)
    waiting += [asyncio.create_task(batches.submit(number)) for number in range(1, 6)]
    await asyncio.sleep(0)
    gate.go_on.set()
    assert await asyncio.gather(*waiting) == [0, 1, 2, 3, 4, 5]
    assert gate.batches == [[0], [1, 2, 3], [4, 5]]


async def test_a_batch_is_complete_when_it_is_heavy() -> None:
    gate = Gate()
    batches: Batches[int, int] = Batches(
        gate.work, name="t", threads=1, largest=9, weigh=lambda item: item, heaviest=10
    )
    waiting = [asyncio.create_task(batches.submit(0))]
    assert await asyncio.to_thread(gate.entered.wait, PATIENCE)
    waiting += [asyncio.create_task(batches.submit(number)) for number in (6, 6, 20, 1, 1)]
    await asyncio.sleep(0)
    gate.go_on.set()
    await asyncio.gather(*waiting)
    assert gate.batches == [[0], [6, 6], [20], [1, 1]]


async def test_a_failure_reaches_its_own_item_alone() -> None:
    def work(items: list[str]) -> list[str]:
        if "bad" in items:
            raise RuntimeError("not this")
        return items

    batches: Batches[str, str] = Batches(work, name="t", threads=1, largest=4)
    results = await asyncio.gather(
        *(batches.submit(item) for item in ("a", "bad", "b", "c")), return_exceptions=True
    )
    assert [results[0], *results[2:]] == ["a", "b", "c"]
    assert isinstance(results[1], RuntimeError)
    assert await batches.submit("good") == "good"


async def test_a_wrong_number_of_results_is_an_error_and_nobody_waits_for_ever() -> None:
    def work(_items: list[int]) -> list[int]:
        return []

    batches: Batches[int, int] = Batches(work, name="t", threads=1, largest=4)
    with pytest.raises(RuntimeError, match="0 results for 1"):
        await batches.submit(1)


async def test_one_who_has_gone_away_does_not_keep_the_others_waiting() -> None:
    gate = Gate()
    batches: Batches[int, int] = Batches(gate.work, name="t", threads=1, largest=4)
    first = asyncio.create_task(batches.submit(1))
    assert await asyncio.to_thread(gate.entered.wait, PATIENCE)
    gone, stays = asyncio.create_task(batches.submit(2)), asyncio.create_task(batches.submit(3))
    await asyncio.sleep(0)
    gone.cancel()
    gate.go_on.set()
    assert [await first, await stays] == [1, 3]


async def test_too_much_that_waits_is_refused() -> None:
    gate = Gate()
    batches: Batches[int, int] = Batches(gate.work, name="t", threads=1, largest=4, most_waiting=1)
    waiting = [asyncio.create_task(batches.submit(0))]
    assert await asyncio.to_thread(gate.entered.wait, PATIENCE)
    waiting.append(asyncio.create_task(batches.submit(1)))
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await batches.submit(2)
    gate.go_on.set()
    await asyncio.gather(*waiting)
