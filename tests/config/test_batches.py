"""What is submitted together is worked on together, and nobody waits for ever."""

import threading
from concurrent.futures import Future

import pytest

from config.shared.batches import Batches

PATIENCE = 30


def test_a_lone_item_is_worked_on_at_once() -> None:
    batches: Batches[int, int] = Batches(
        lambda items: [2 * item for item in items], name="t", threads=1, largest=4
    )
    assert batches.submit(21).result(PATIENCE) == 42


def test_what_arrives_meanwhile_makes_up_the_next_batches() -> None:
    entered, go_on = threading.Event(), threading.Event()
    seen: list[list[int]] = []

    def work(items: list[int]) -> list[int]:
        seen.append(items)
        entered.set()
        assert go_on.wait(PATIENCE)
        return items

    batches: Batches[int, int] = Batches(work, name="t", threads=1, largest=3)
    futures = [batches.submit(0)]
    assert entered.wait(PATIENCE)
    futures += [batches.submit(number) for number in range(1, 6)]
    go_on.set()
    assert [future.result(PATIENCE) for future in futures] == [0, 1, 2, 3, 4, 5]
    assert seen == [[0], [1, 2, 3], [4, 5]]


def test_a_failure_reaches_each_who_waits_and_the_next_batch_is_tried() -> None:
    def work(items: list[str]) -> list[str]:
        if "bad" in items:
            raise RuntimeError("not this")
        return items

    batches: Batches[str, str] = Batches(work, name="t", threads=1, largest=4)
    with pytest.raises(RuntimeError, match="not this"):
        batches.submit("bad").result(PATIENCE)
    assert batches.submit("good").result(PATIENCE) == "good"


def test_one_who_has_gone_away_does_not_keep_the_others_waiting() -> None:
    entered, go_on = threading.Event(), threading.Event()

    def work(items: list[str]) -> list[str]:
        entered.set()
        assert go_on.wait(PATIENCE)
        return items

    batches: Batches[str, str] = Batches(work, name="t", threads=1, largest=4)
    batches.submit("first")
    assert entered.wait(PATIENCE)
    gone: Future[str] = batches.submit("gone")
    stays = batches.submit("stays")
    assert gone.cancel()
    go_on.set()
    assert stays.result(PATIENCE) == "stays"
