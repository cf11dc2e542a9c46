"""Hands the bytes of a file from the supervisor to a host, beside the line between them.

Not on the line: 16 MiB in base64 would hold up the pings behind it, and be parsed as one text. Not in a file
with a name, which a process that is killed leaves behind. What memfd_create makes has no name, and the kernel
drops it with the last process that holds it, also when its descriptor is still on its way in the socket.

A descriptor is sent before the command that it belongs to, so it is there when the command is read.
"""

from __future__ import annotations

import os
import socket

PLACEHOLDER = b"f"  # a message needs at least one byte


def channel() -> tuple[socket.socket, socket.socket]:
    """The supervisor's end, which never waits, and the host's; each message is one file."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    return ours, theirs


def send_file(ours: socket.socket, data: bytes) -> None:
    """Give the host a file. Raises OSError: also when it has not taken those before."""
    descriptor = os.memfd_create("media", os.MFD_CLOEXEC)
    try:
        with os.fdopen(descriptor, "wb", closefd=False) as file:
            file.write(data)
        socket.send_fds(ours, [PLACEHOLDER], [descriptor])
    finally:
        os.close(descriptor)


def receive_file(theirs: socket.socket) -> bytes:
    """Take the next file. Raises OSError when the supervisor has gone."""
    _placeholder, descriptors, _flags, _address = socket.recv_fds(theirs, len(PLACEHOLDER), 1)
    if not descriptors:
        raise OSError("no file came")
    with os.fdopen(descriptors[0], "rb") as file:
        file.seek(0)  # the position is shared with the descriptor that was written to
        return file.read()
