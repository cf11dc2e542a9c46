"""Progress of long commands: a bar on a terminal, nothing where the output is read by a program."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")


def with_progress(items: Iterable[Item], *, total: int, what: str, quiet: bool = False) -> Iterator[Item]:
    """Yield the items, counting them on a bar of `total` steps named `what`."""
    yield from tqdm(items, total=total, desc=what, disable=_is_off(quiet), leave=False, file=sys.stderr)


@contextmanager
def progress_bar(*, total: int, what: str, quiet: bool = False) -> Iterator[Callable[[], object]]:
    """A bar that is moved on by one with each call of what it yields."""
    with tqdm(total=total, desc=what, disable=_is_off(quiet), leave=False, file=sys.stderr) as bar:
        yield bar.update


def _is_off(quiet: bool) -> bool:
    return quiet or not sys.stderr.isatty()
