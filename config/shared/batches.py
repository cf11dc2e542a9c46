"""Work that is cheaper for many at once: what arrives while a batch is at work makes up the next one."""

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Overloaded(Exception):
    """So much waits already that another item would wait too long."""


@dataclass(frozen=True, slots=True)
class _Waiting(Generic[Item, Result]):
    item: Item
    future: "asyncio.Future[Result]"


class Batches(Generic[Item, Result]):
    """Hands what is submitted to `work`, up to `largest` items at once, on threads of its own.

    A lone item waits for nothing. A batch is complete when its items weigh `heaviest` together. `work`
    returns a result for each item, in order; an exception among them is raised for its item. When `work`
    raises, its items are worked on one by one, so that none suffers from another: it must bear to see an item
    twice.
    """

    def __init__(
        self,
        work: Callable[[list[Item]], Sequence[Result | Exception]],
        *,
        name: str,
        threads: int,
        largest: int,
        weigh: Callable[[Item], int] = lambda _item: 0,
        heaviest: int = 1,
        most_waiting: int = 4096,
    ) -> None:
        self.work = work
        self.name = name
        self.threads = threads
        self.largest, self.weigh, self.heaviest = largest, weigh, heaviest
        self.most_waiting = most_waiting
        self._queue: queue.SimpleQueue[_Waiting[Item, Result]] = queue.SimpleQueue()
        self._starting = threading.Lock()
        self._started = False

    async def submit(self, item: Item) -> Result:
        """Return the result of `item`, or raise what `work` raised for it; raises Overloaded.

        A submitter that no longer waits changes nothing: the item is worked on all the same.
        """
        if self._queue.qsize() >= self.most_waiting:
            raise Overloaded
        waiting: _Waiting[Item, Result] = _Waiting(item, asyncio.get_running_loop().create_future())
        self._queue.put(waiting)
        if not self._started:
            self._start()
        return await waiting.future

    def _start(self) -> None:
        with self._starting:
            if not self._started:
                for number in range(self.threads):
                    threading.Thread(target=self._run, name=f"{self.name}-{number}", daemon=True).start()
                self._started = True

    def _run(self) -> None:
        while True:
            batch = self._next()
            _deliver(batch, self._results([waiting.item for waiting in batch]))

    def _next(self) -> list[_Waiting[Item, Result]]:
        batch = [self._queue.get()]
        weight = self.weigh(batch[0].item)
        while len(batch) < self.largest and weight < self.heaviest:
            try:
                batch.append(self._queue.get_nowait())
            except queue.Empty:
                break
            weight += self.weigh(batch[-1].item)
        return batch

    def _results(self, items: list[Item]) -> list[Result | Exception]:
        try:
            results = self.work(items)
            if len(results) != len(items):
                raise RuntimeError(f"{self.name}: {len(results)} results for {len(items)} items")
            return [*results]
        except Exception as error:  # noqa: BLE001  it belongs to those who wait
            if len(items) == 1:
                return [error]
        return [result for item in items for result in self._results([item])]


def _deliver(batch: list[_Waiting[Any, Any]], results: list[Any]) -> None:
    """Wake the waiting by one call for each event loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Any]]] = {}
    for waiting, result in zip(batch, results, strict=True):
        by_loop.setdefault(waiting.future.get_loop(), []).append((waiting.future, result))
    for loop, settled in by_loop.items():
        try:
            loop.call_soon_threadsafe(_settle, settled)
        except RuntimeError:  # the loop is closed, and nobody waits there any more
            continue


def _settle(settled: "list[tuple[asyncio.Future[Any], Any]]") -> None:
    for future, result in settled:
        if future.done():
            continue
        if isinstance(result, Exception):
            future.set_exception(result)
        else:
            future.set_result(result)
