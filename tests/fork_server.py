"""The process that forks the product's processes for the journeys: it has imported other people's packages,
which is most of the time that a start takes, and not a line of ours; no setting has been read.

So what runs in a forked process is what runs after `python manage.py …`, under the environment, in the
folder and with the output that the test gives, in a session of its own. `tests/forked_processes.py` asks for
them. Each request is one message: the process to start (with its three standard descriptors), answered by its
number and a pidfd, or the number of one that has ended, answered by its exit code.
"""

import gc
import importlib
import io
import json
import os
import runpy
import socket
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

MESSAGE_LIMIT = 1 << 17
# Not daphne.server, which installs a Twisted reactor, nor what needs settings, nor what loads Go (neonize).
PRELOADED = [
    "aiohttp.web", "autobahn.twisted.websocket", "channels.auth", "channels.generic.websocket",
    "channels_redis.pubsub", "cryptography.fernet", "csp.middleware", "daphne.ws_protocol",
    "django.contrib.admin", "django.contrib.staticfiles.management.commands.runserver",
    "django.core.cache.backends.redis", "django.core.management", "django.db.backends.postgresql.base",
    "django.db.backends.sqlite3.base", "django.db.migrations.executor", "django.test", "environ", "jwt",
    "limits.aio.strategies", "phonenumbers", "prometheus_client", "psycopg_pool", "pyaileys",
    "redis.asyncio", "requests", "rest_framework.serializers", "segno", "sentry_sdk", "structlog", "tqdm",
    "twisted.internet.tcp", "websockets", "whitenoise.middleware",
]  # fmt: skip
OURS = ("config", "marketplace", "onboarding", "sandbox", "whatsapp")


def serve(control: socket.socket) -> list[str]:
    """Forks a process for each request; returns in each, with its arguments, and ends with the test run."""
    for name in PRELOADED:
        importlib.import_module(name)
    _assert_nothing_of_ours()
    gc.collect()
    gc.freeze()  # else the first collection of a process would copy every page
    while True:
        message, descriptors, _flags, _address = socket.recv_fds(control, MESSAGE_LIMIT, 3)
        if not message:
            sys.exit(0)
        request = json.loads(message)
        if "ended" in request:
            _pid, status = os.waitpid(request["ended"], 0)
            control.send(str(os.waitstatus_to_exitcode(status)).encode())
        elif (pid := _fork(control, request, descriptors)) == 0:
            arguments: list[str] = request["arguments"]
            return arguments
        else:
            for descriptor in descriptors:
                os.close(descriptor)
            pidfd = os.pidfd_open(pid)
            socket.send_fds(control, [str(pid).encode()], [pidfd])
            os.close(pidfd)


def _assert_nothing_of_ours() -> None:
    from django.conf import settings

    wrong = sorted({name.partition(".")[0] for name in sys.modules} & set(OURS))
    if wrong or settings.configured or "twisted.internet.reactor" in sys.modules:
        sys.exit(f"the fork server has imported too much: {wrong or 'settings or a reactor'}")
    if len(list(Path("/proc/self/task").iterdir())) > 1:
        sys.exit("the fork server must have a single thread")


def _fork(control: socket.socket, request: dict[str, Any], descriptors: list[int]) -> int:
    """0 in the new process; its number here, when it is as it was asked for."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        control.close()
        os.close(reader)
        _become(request, descriptors)
    os.close(writer)
    if pid:
        os.read(reader, 1)  # returns when the other end is closed
        os.close(reader)
    return pid


def _become(request: dict[str, Any], descriptors: list[int]) -> None:
    os.setsid()
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    for standard, descriptor in enumerate(descriptors):
        os.dup2(descriptor, standard)
        os.close(descriptor)
    unbuffered = bool(os.environ.get("PYTHONUNBUFFERED"))
    for name, number in (("stdout", 1), ("stderr", 2)):
        raw = open(number, "wb", 0 if unbuffered else -1, closefd=False)  # noqa: SIM115
        old = getattr(sys, name)
        text = io.TextIOWrapper(
            raw, old.encoding, old.errors, line_buffering=name == "stderr", write_through=unbuffered
        )
        setattr(sys, name, text)
        setattr(sys, f"__{name}__", text)


def run(arguments: list[str]) -> None:
    """What Python does with these command line arguments: `-m module …`, `-c code …` or `script …`."""
    if arguments[0] == "-c":
        sys.argv = ["-c", *arguments[2:]]
        sys.path[0] = ""
        main = sys.modules["__main__"] = ModuleType("__main__")
        exec(arguments[1], main.__dict__)  # noqa: S102
    elif arguments[0] == "-m":
        sys.argv = arguments[1:]
        sys.path[0] = str(Path.cwd())
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = arguments
        sys.path[0] = str(Path(arguments[0]).resolve().parent)
        runpy.run_path(arguments[0], run_name="__main__")


if __name__ == "__main__":
    run(serve(socket.socket(fileno=int(sys.argv[1]))))
