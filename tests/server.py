"""A server process of the tests' own, on a free loopback port in a temporary folder."""

import abc
import atexit
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from tests import reaper

START_SECONDS = 30.0


class ServerError(Exception):
    """A server could not be started or reached; the message ends with its own log."""


def free_port() -> int:
    """A loopback TCP port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def temporary_folder(prefix: str) -> Path:
    """A new folder under the system's temporary folder, removed when this process ends."""
    folder = Path(tempfile.mkdtemp(prefix=f"{prefix}-"))
    reaper.watch_folder(folder)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


class Server(abc.ABC):
    """One server process that can be stopped, killed, frozen and started again at the same address."""

    name = "server"
    graceful = signal.SIGTERM
    immediate = signal.SIGKILL
    # What `ping` raises as long as the server does not answer.
    unanswered: tuple[type[Exception], ...] = (OSError,)

    def __init__(self) -> None:
        self.port = free_port()
        self.folder = temporary_folder(f"yclients-whatsapp-{self.name}")
        self.log = self.folder / "server.log"
        self._process: subprocess.Popen[bytes] | None = None
        atexit.register(self.kill)

    @property
    @abc.abstractmethod
    def url(self) -> str:
        """The server's address."""

    @abc.abstractmethod
    def command(self) -> list[str]:
        """The command line of the server in the foreground."""

    @abc.abstractmethod
    def ping(self) -> None:
        """Raises when the server does not answer a request."""

    @property
    def pid(self) -> int:
        """The process id of the running server; raises ServerError when it is not running."""
        if self._process is None:
            raise ServerError(f"{self.name} is not running")
        return self._process.pid

    def identity(self) -> tuple[int | None, int | None]:
        """User and group ids to run as; None means those of this process."""
        return None, None

    def start(self) -> Self:
        """Starts the server, unless it runs, and returns when it answers; ServerError after 30 s."""
        if self._process is not None:
            return self
        user, group = self.identity()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command(),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"},
                start_new_session=True,
                user=user,
                group=group,
                extra_groups=None if user is None else [],
            )
        reaper.watch_process(self._process.pid, self.immediate)
        self._wait_until_it_answers(self._process)
        return self

    def _wait_until_it_answers(self, process: "subprocess.Popen[bytes]") -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                return self.ping()
            except self.unanswered as error:
                ended = process.poll() is not None
                if ended or time.monotonic() > deadline:
                    self.kill()
                    why = f"ended with code {process.returncode}" if ended else f"does not answer: {error}"
                    log = self.log.read_text(errors="replace")[-2000:]
                    raise ServerError(f"{self.name} {why}\n{log}") from error
            time.sleep(0.02)

    def stop(self, timeout: float = 10.0) -> None:
        """Ends the server in an orderly way; kills it when that takes longer than `timeout` seconds."""
        if self._process is None:
            return
        self._process.send_signal(self.graceful)
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._process.send_signal(self.immediate)
        self._ended()

    def kill(self) -> None:
        """Ends the server at once with SIGKILL, as a machine that loses its power would; safe to repeat."""
        if self._process is None:
            return
        for pid in self._all_pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._ended()

    def _ended(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.wait()
            reaper.forget_process(process.pid)

    def restart(self) -> None:
        """Stops the server in an orderly way and starts it again: same address, same data folder."""
        self.stop()
        self.start()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Freezes the server's processes: connections stay open and nothing is answered."""
        pids = self._all_pids()
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def _all_pids(self) -> list[int]:
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        found = children.read_text().split() if children.exists() else []
        return [self.pid, *(int(pid) for pid in found)]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
