"""The product's own processes, started for journeys and benchmarks as an operator would start them.

stack = Stack(folder=..., environment=...)
stack.start("web", "pool", "worker")      # returns when each says that it is ready
stack.kill("pool")                        # kill -9, with its engine hosts left to notice by themselves
stack.start("pool")
stack.query("SELECT status FROM marketplace_company")
stack.close()
"""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from tests import reaper
from tests.databases import KeptConnection
from tests.environment import ROOT
from tests.forked_processes import ForkedProcess, fork, run_forked

BINARIES = Path(sys.executable).parent
READY_SECONDS = 60.0


class ProcessError(Exception):
    """A process ended or did not become ready; the message holds the end of its log."""


class Process:
    """One process in a process group of its own, its output in a file; `forked`: see forked_processes.py."""

    def __init__(
        self,
        name: str,
        command: list[str],
        *,
        environment: Mapping[str, str],
        log: Path,
        ready: "Callable[[Process], bool]",
        forked: bool = False,
    ) -> None:
        self.name = name
        self.command = command
        self.environment = dict(environment)
        self.log = log
        self.cwd = ROOT
        self.forked = forked
        self._ready = ready
        self._process: subprocess.Popen[bytes] | ForkedProcess | None = None
        self._log_offset = 0

    @property
    def pid(self) -> int:
        """The process id; raises ProcessError when it does not run."""
        if self._process is None:
            raise ProcessError(f"{self.name} is not running")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended, by itself or by us."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> Self:
        """Starts it and waits until it is ready, see `wait_until_ready`."""
        self.launch()
        return self.wait_until_ready()

    def launch(self) -> None:
        """Starts it, unless it runs, without waiting for anything."""
        if self.running:
            return
        self._log_offset = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            if self.forked:
                self._process = fork(self.command, environment=self.environment, stdout=log, folder=self.cwd)
            else:
                self._process = subprocess.Popen(
                    self.command,
                    cwd=self.cwd,
                    env=self.environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        reaper.watch_process(self._process.pid)

    def wait_until_ready(self) -> Self:
        """Returns when it is ready; ProcessError when it has ended, AssertionError after 60 s."""
        wait_until(self._is_ready, f"{self.name} is ready", seconds=READY_SECONDS, why=self.log_tail)
        return self

    def _is_ready(self) -> bool:
        if not self.running:
            code = None if self._process is None else self._process.returncode
            raise ProcessError(f"{self.name} ended with code {code}\n{self.log_tail()}")
        return self._ready(self)

    def kill(self) -> None:
        """SIGKILL to this process alone, as the kernel would under memory pressure."""
        self._end(signal.SIGKILL, 5.0)

    def terminate(self, seconds: float = 60) -> int:
        """SIGTERM, and its exit code; ProcessError when it still runs after `seconds`."""
        code = self._end(signal.SIGTERM, seconds)
        return 0 if code is None else code

    def _end(self, how: signal.Signals, seconds: float) -> int | None:
        if self._process is None:
            return None
        process, self._process = self._process, None
        process.send_signal(how)
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            text = f"{self.name} still ran {seconds:g} s after {how.name}\n{self.log_tail()}"
            raise ProcessError(text) from None
        finally:
            reaper.forget_process(process.pid)
        return code

    def said(self, text: str) -> bool:
        """Whether the log has `text` since the latest start."""
        return text in self.log_text()

    def log_text(self) -> str:
        """The output since the latest start."""
        if not self.log.exists():
            return ""
        return self.log.read_bytes()[self._log_offset :].decode(errors="replace")

    def log_tail(self, lines: int = 60) -> str:
        """The last lines of the whole log under a heading."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join([f"--- {self.name} ---", *text.splitlines()[-lines:]])


def run_executed(
    command: list[str], *, environment: Mapping[str, str], seconds: float = 60.0
) -> "subprocess.CompletedProcess[str]":
    """Runs a command to its end and captures what it prints; subprocess.TimeoutExpired when it is longer."""
    return subprocess.run(
        command,
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


def wait_until(
    condition: Callable[[], bool], what: str, *, seconds: float = 60.0, why: Callable[[], str] = str
) -> None:
    """Polls `condition` every 50 ms; AssertionError with `what` and `why()` when it stays false."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"after {seconds:g} s it is not true that {what}\n{why()}")
        time.sleep(0.05)


def is_running(pid: int) -> bool:
    """Whether the process exists and is not merely waiting to be reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def answers(url: str) -> bool:
    """Whether a GET is answered with a 2xx or 3xx status within 2 s."""
    try:
        with urllib.request.urlopen(url, timeout=2):  # noqa: S310
            return True
    except (urllib.error.URLError, OSError):
        return False


class Stack:
    """Processes that share one environment, one database and one folder.

    `forked`, from its next start on: quicker started than an operator would, see forked_processes.py.
    """

    def __init__(self, *, folder: Path, environment: Mapping[str, str], forked: bool = False) -> None:
        self.folder = folder
        self.environment = dict(environment)
        self.forked = forked
        self.processes: dict[str, Process] = {}
        self._database: KeptConnection | None = None
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def url(self) -> str:
        """The public address, BASE_URL."""
        return self.environment["BASE_URL"]

    def add(
        self, name: str, command: list[str], *, ready: Callable[[Process], bool], **extra: str
    ) -> Process:
        """Makes a process known without starting it; `extra` are further environment variables."""
        log = self.folder / f"{name}.log"
        environment = {**self.environment, **extra}
        self.processes[name] = Process(name, command, environment=environment, log=log, ready=ready)
        return self.processes[name]

    def start(self, *names: str) -> None:
        """Starts processes side by side and returns when all are ready; all known ones without names."""
        chosen = [self.processes[name] for name in names or self.processes]
        for process in chosen:
            process.forked = self.forked
            process.launch()
        for process in chosen:
            process.wait_until_ready()

    def kill(self, name: str) -> None:
        """`kill -9`."""
        self.processes[name].kill()

    def terminate(self, name: str) -> int:
        """SIGTERM; the exit code."""
        return self.processes[name].terminate()

    def restart(self, name: str) -> None:
        """An orderly restart."""
        self.terminate(name)
        self.start(name)

    def manage(self, *arguments: str, seconds: float = 60.0) -> str:
        """Runs a management command and returns what it printed; ProcessError when it fails."""
        command = [sys.executable, "manage.py", *arguments]
        run = run_forked if self.forked else run_executed
        done = run(command, environment=self.environment, seconds=seconds)
        if done.returncode:
            text = f"manage.py {' '.join(arguments)} ended with code {done.returncode}"
            raise ProcessError(f"{text}\n{done.stdout}{done.stderr}")
        return done.stdout

    def shell(self, code: str) -> str:
        """Runs Python code inside the product and returns what it printed."""
        return self.manage("shell", "--no-imports", "--command", code).strip()

    def query(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Rows of the product's database; `%s` stands for a parameter on both databases."""
        url = self.environment["DATABASE_URL"]
        if self._database is None or self._database.database_url != url:
            self._database = KeptConnection(url)
        return self._database.rows_of(statement, parameters)

    def logs(self) -> str:
        """The end of every process's log."""
        return "\n".join(process.log_tail() for process in self.processes.values())

    def close(self) -> None:
        """Ends everything; what does not end in an orderly way within 30 s is killed and reported.

        Daphne alone gives open live channels 10 s.
        """
        if self._database is not None:
            self._database.close()
        running = [process for process in reversed(self.processes.values()) if process.running]
        failures = []
        for process in running:
            os.kill(process.pid, signal.SIGTERM)
        for process in running:
            try:
                process.terminate(30.0)
            except ProcessError as error:
                failures.append(str(error))
        if failures:
            raise ProcessError("\n".join(failures))
