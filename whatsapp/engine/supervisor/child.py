"""A child process that was not started by this process's own fork, but has become its child."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal


class Child:
    """Signalled and waited for by a handle, which never means another process that got the number later."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._handle = os.pidfd_open(pid)

    async def wait(self) -> int:
        """Return when it has ended: its exit code, or minus the signal that ended it. Call it once."""
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._handle, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(self._handle)
        result = os.waitid(os.P_PIDFD, self._handle, os.WEXITED)  # noqa: ASYNC222  # it has ended
        os.close(self._handle)
        self._handle = -1
        if result is None:
            return 0
        return result.si_status if result.si_code == os.CLD_EXITED else -result.si_status

    def kill(self) -> None:
        """End it now; one that has ended is left alone."""
        if self._handle >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, signal.SIGKILL)
