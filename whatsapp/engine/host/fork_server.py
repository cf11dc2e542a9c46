"""The process that forks the hosts: it has imported everything, so a host is ready in milliseconds and
shares the memory of what was imported.

It has one thread and holds no session. Each host is forked twice, so that its parent becomes the
supervisor, which has declared itself the reaper of such orphans: the supervisor waits for it, and the kernel
kills it when the supervisor dies, whatever becomes of this process.
"""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import socket
import sys
import time
from pathlib import Path

PR_SET_PDEATHSIG = 1
ADOPTED_WITHIN = 10.0  # seconds
FAILED = b"0"  # instead of a process id


def serve(control: socket.socket, parent: int) -> tuple[socket.socket, socket.socket]:
    """Fork a host for each request, which is one message with three descriptors: the host's ends of its line
    and of its channel for files, and where it prints. The answer is its process id.

    Returns in every host, with its ends; ends the process when the supervisor has hung up.
    """
    if len(list(Path("/proc/self/task").iterdir())) > 1:
        sys.exit("the fork server must have a single thread")
    gc.collect()
    gc.freeze()  # else the first collection in a host would copy every page
    while True:
        _request, descriptors, _flags, _address = socket.recv_fds(control, 16, 3)
        if len(descriptors) != 3:
            sys.exit(0)
        line, files, output = descriptors
        try:
            pid = _fork_orphan()
        except OSError:
            pid = int(FAILED)
        else:
            if pid == 0:
                control.close()
                _detach(output, parent)
                return socket.socket(fileno=line), socket.socket(fileno=files)
        for descriptor in descriptors:
            os.close(descriptor)
        control.send(str(pid).encode())


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when the supervisor dies, however it dies."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("the supervisor is gone")


def _fork_orphan() -> int:
    """Fork a process whose parent ends at once; 0 in it, else its id. Raises OSError."""
    reader, writer = os.pipe()
    try:
        middle = os.fork()
        if middle == 0:
            return _fork_and_end(writer)
        os.waitpid(middle, 0)
        os.close(writer)
        writer = -1
        answer = os.read(reader, 16)
        if not answer:
            raise OSError("the second fork failed")
        return int(answer)
    finally:
        os.close(reader)
        if writer >= 0:
            os.close(writer)


def _fork_and_end(writer: int) -> int:
    try:
        pid = os.fork()
        if pid:
            os.write(writer, str(pid).encode())
    except OSError:
        pid = -1
    if pid:
        os._exit(0)
    return 0


def _detach(output: int, parent: int) -> None:
    """A session of its own (a Ctrl+C at a terminal is for the pool), its own output, the supervisor as
    parent."""
    os.setsid()
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    deadline = time.monotonic() + ADOPTED_WITHIN
    while os.getppid() != parent and time.monotonic() < deadline:
        time.sleep(0.001)
    die_with_parent(parent)
