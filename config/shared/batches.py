"""Work that is cheaper for many at once: what arrives while a batch is at work makes up the next one."""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Batches(Generic[Item, Result]):
    """Hands what is submitted to `work`, up to `largest` items at once, on threads of its own.

    A lone item waits for nothing. `work` returns a result for each item, in order; what it raises is raised
    to every submitter of that batch.
    """

    def __init__(
        self, work: Callable[[list[Item]], list[Result]], *, name: str, threads: int, largest: int
    ) -> None:
        self.work = work
        self.name = name
        self.threads = threads
        self.largest = largest
        self._waiting: queue.SimpleQueue[tuple[Item, Future[Result]]] = queue.SimpleQueue()
        self._starting = threading.Lock()
        self._started = False

    def submit(self, item: Item) -> "Future[Result]":
        """Return the future result of `item`; a submitter that no longer waits for it changes nothing."""
        future: Future[Result] = Future()
        self._waiting.put((item, future))
        if not self._started:
            self._start()
        return future

    def _start(self) -> None:
        with self._starting:
            if not self._started:
                for number in range(self.threads):
                    threading.Thread(target=self._run, name=f"{self.name}-{number}", daemon=True).start()
                self._started = True

    def _run(self) -> None:
        while True:
            self._do(self._next())

    def _next(self) -> "list[tuple[Item, Future[Result]]]":
        batch = [self._waiting.get()]
        while len(batch) < self.largest:
            try:
                batch.append(self._waiting.get_nowait())
            except queue.Empty:
                break
        return batch

    def _do(self, batch: "list[tuple[Item, Future[Result]]]") -> None:
        try:
            results = self.work([item for item, _future in batch])
        except Exception as error:  # noqa: BLE001  it belongs to those who wait
            for _item, future in batch:
                if future.set_running_or_notify_cancel():
                    future.set_exception(error)
            return
        for (_item, future), result in zip(batch, results, strict=True):
            if future.set_running_or_notify_cancel():
                future.set_result(result)
