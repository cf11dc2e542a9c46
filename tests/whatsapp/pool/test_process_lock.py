"""The lock that proves a pool and its engine hosts dead, on real processes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.environment import ROOT
from whatsapp.pool import process_lock
from whatsapp.pool.process_lock import ProcessLock, forget, read_owners

PATIENCE = 60.0  # seconds
# A pool with one host: the child inherits the descriptor and nothing else that matters.
POOL = """
import subprocess, sys
from pathlib import Path
from whatsapp.pool.process_lock import ProcessLock
lock = ProcessLock(Path(sys.argv[1]), "pool-1")
host = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"],
                        stdin=subprocess.PIPE, pass_fds=[lock.descriptor])
print(host.pid, flush=True)
sys.stdin.read()
"""


@contextmanager
def pool_with_a_host(folder: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A running pool, and the process id of its host."""
    with subprocess.Popen(
        [sys.executable, "-c", POOL, str(folder)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as pool:
        assert pool.stdout is not None
        yield pool, int(pool.stdout.readline())
        pool.kill()


def test_a_pool_is_dead_when_it_and_its_hosts_are(tmp_path: Path) -> None:
    with pool_with_a_host(tmp_path) as (pool, host):
        assert read_owners(tmp_path).alive == ("pool-1",)
        handle = os.pidfd_open(host)
        os.kill(host, signal.SIGSTOP)  # it does not see that its pool is gone
        pool.kill()
        pool.wait()
        assert read_owners(tmp_path).alive == ("pool-1",)
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        os.close(handle)
        deadline = time.monotonic() + PATIENCE
        while read_owners(tmp_path).alive:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert read_owners(tmp_path).dead == ("pool-1",)
        forget(tmp_path, "pool-1")
        assert read_owners(tmp_path) == process_lock.Owners((), ())


def test_a_paused_pool_is_not_dead(tmp_path: Path) -> None:
    with pool_with_a_host(tmp_path) as (pool, _host):
        pool.send_signal(signal.SIGSTOP)
        assert read_owners(tmp_path).alive == ("pool-1",)
        pool.send_signal(signal.SIGCONT)


def test_a_file_of_another_machine_or_of_a_time_before_a_restart_proves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ProcessLock(tmp_path, "pool-1").close()
    assert read_owners(tmp_path).dead == ("pool-1",)
    other = tmp_path.parent / "boot-id"
    other.write_text("b1946ac9-2492-4d23-94a7-6ad2bc3e9e0c")
    monkeypatch.setattr(process_lock, "BOOT_ID", other)
    assert read_owners(tmp_path) == process_lock.Owners((), ())


def test_a_pool_that_has_released_everything_leaves_no_file(tmp_path: Path) -> None:
    lock = ProcessLock(tmp_path, "pool-1")
    lock.remove()
    lock.close()
    assert list(tmp_path.iterdir()) == []
