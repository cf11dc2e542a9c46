"""The process that forks the hosts: it has imported everything, so a host is ready in milliseconds and
shares the memory of what was imported.

It has one thread and holds no session. Each host is forked twice, so that its parent becomes the
supervisor, which has declared itself the reaper of such orphans and waits for it.

When the supervisor dies its hosts end by themselves, after they have closed their lines. One that does not,
because it is paused or hangs, is killed by this process, which the end of its own line wakes.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path

ADOPTED_WITHIN = 10.0  # seconds
ENDED_WITHIN = 1.5  # seconds that hosts have when the supervisor is gone; longer than `runner.HANG_UP_MOST`
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
    hosts: list[int] = []
    while True:
        descriptors = _receive_request(control)
        hosts = running(hosts)
        if len(descriptors) != 3:
            end(hosts)
            sys.exit(0)
        line, files, output = descriptors
        try:
            pid = _fork_orphan()
            if pid:
                hosts.append(os.pidfd_open(pid))
        except OSError:
            pid = int(FAILED)
        else:
            if pid == 0:
                control.close()
                for other in hosts:
                    os.close(other)
                _detach(output, parent)
                return socket.socket(fileno=line), socket.socket(fileno=files)
        for descriptor in descriptors:
            os.close(descriptor)
        control.send(str(pid).encode())


def _receive_request(control: socket.socket) -> list[int]:
    """The descriptors of the next request; none when the supervisor has hung up."""
    try:
        _request, descriptors, _flags, _address = socket.recv_fds(control, 16, 3)
    except ConnectionError:  # it ended before it had read an answer
        return []
    return descriptors


def running(hosts: list[int], seconds: float = 0.0) -> list[int]:
    """Those of these processes, named by handles, that still run after so many seconds; the handles of the
    others are closed."""
    deadline = time.monotonic() + seconds
    poll, left = select.poll(), set(hosts)
    for host in hosts:
        poll.register(host, select.POLLIN)
    while left and (ended := poll.poll(max(0.0, deadline - time.monotonic()) * 1000)):
        for host, _event in ended:
            poll.unregister(host)
            os.close(host)
            left.remove(host)
    return list(left)


def end(hosts: list[int]) -> None:
    """Kill those that have not ended by themselves in time."""
    for host in running(hosts, ENDED_WITHIN):
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(host, signal.SIGKILL)


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
