"""A host whose supervisor is paused or has lost its right: the line stays open, but it must end."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

from whatsapp.engine import EngineSettings
from whatsapp.engine.commands import Ping
from whatsapp.engine.protocol import encode
from whatsapp.engine.supervisor.launch import host_command, host_environment

SILENCE = 2.0  # seconds


@contextmanager
def running_host() -> Iterator[tuple["subprocess.Popen[str]", socket.socket]]:
    """A host and our end of its line."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        os.set_inheritable(theirs.fileno(), True)
        host = subprocess.Popen(
            host_command(EngineSettings(silence=SILENCE), theirs.fileno()),
            env=host_environment(EngineSettings()),
            pass_fds=[theirs.fileno()],
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield host, ours
        finally:
            host.kill()
            host.communicate()


def test_a_host_that_hears_nothing_ends_itself() -> None:
    """Its pool's leases run out meanwhile, and another pool may link the sessions."""
    with running_host() as (host, _line):
        _, errors = host.communicate(timeout=60)
    assert host.returncode == 1
    assert "not permitted to go on" in errors


def test_a_host_that_is_pinged_and_asked_nothing_goes_on() -> None:
    with running_host() as (host, line):
        line.sendall(encode(Ping(1, time.monotonic() + 120)))
        line.settimeout(60)
        assert line.recv(1000)
        try:
            host.wait(2 * SILENCE)
        except subprocess.TimeoutExpired:
            return
    raise AssertionError(f"it ended with code {host.returncode}")


def test_a_host_ends_at_the_moment_that_the_last_ping_named() -> None:
    with running_host() as (host, line):
        line.sendall(encode(Ping(1, time.monotonic() + 120)))
        line.sendall(encode(Ping(2, time.monotonic() + 0.1)))
        assert host.wait(60) == 1
