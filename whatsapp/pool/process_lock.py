"""A lock on a file that ends with a pool's process and its engine hosts, and proves them dead to other pools.

Each host inherits the open file. The kernel keeps a flock(2) lock for as long as any process has the file
open, however they end: a lock that can be taken means that the pool and all of its hosts are gone, and with
them every connection to WhatsApp. A process that is paused or cut off from the database keeps its lock.

Such locks count within one running kernel only. The file holds the kernel's boot id; one with another id is
of another machine that shares the folder, or of a time before a restart, and proves nothing.
"""

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
DRAFT = ".new"


@dataclass(frozen=True, slots=True)
class Owners:
    """Names of pools whose files are in the folder: `alive` hold their locks, `dead` are proven so."""

    alive: tuple[str, ...]
    dead: tuple[str, ...]


class ProcessLock:
    """The lock of this process under the name of its pool; hosts are given `descriptor` to inherit."""

    def __init__(self, folder: Path, owner: str) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.owner = owner
        self.path = folder / owner
        draft = folder / f"{owner}{DRAFT}"
        self.descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(self.descriptor, fcntl.LOCK_EX)  # nobody else looks at a draft
        os.write(self.descriptor, _boot_id())
        draft.rename(self.path)

    def remove(self) -> None:
        """Remove the file: the pool holds no lease any more."""
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of the lock, as the end of this process would; a file that is left proves the pool dead."""
        os.close(self.descriptor)


def read_owners(folder: Path) -> Owners:
    """Who of the machine's pools lives, and who is proven dead."""
    alive: list[str] = []
    dead: list[str] = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.suffix == DRAFT:
            continue
        proof = _is_dead(path)
        if proof is not None:
            (dead if proof else alive).append(path.name)
    return Owners(tuple(alive), tuple(dead))


def forget(folder: Path, owner: str) -> None:
    """Remove the file of a dead pool."""
    (folder / owner).unlink(missing_ok=True)


def _is_dead(path: Path) -> bool | None:
    """None when the file proves nothing."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:  # removed meanwhile
        return None
    try:
        if not _boot_id() or os.read(descriptor, 64) != _boot_id():
            return None
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        return True
    finally:
        os.close(descriptor)


def _boot_id() -> bytes:
    try:
        return BOOT_ID.read_bytes().strip()
    except OSError:  # another system: nothing is proven there, leases alone decide
        return b""
