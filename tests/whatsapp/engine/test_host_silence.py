"""A host whose supervisor is paused: the line stays open, but nobody speaks any more."""

import os
import socket
import subprocess

from whatsapp.engine import EngineSettings
from whatsapp.engine.launch import host_command, host_environment
from whatsapp.engine.protocol import Ping, encode


def test_a_host_that_hears_nothing_ends_itself() -> None:
    """Its pool's leases run out meanwhile, and another pool may link the sessions."""
    settings = EngineSettings(silence=1.0)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        os.set_inheritable(theirs.fileno(), True)
        host = subprocess.Popen(
            host_command(settings, theirs.fileno()),
            env=host_environment(settings),
            pass_fds=[theirs.fileno()],
            stderr=subprocess.PIPE,
            text=True,
        )
        ours.sendall(encode(Ping(1)))
        _, errors = host.communicate(timeout=60)
    assert host.returncode == 1
    assert "nothing heard from the supervisor" in errors
