"""PostgreSQL and Redis for tests and benchmarks, found on the machine or in the development wheels.

The wheels' own `get_server()` is not used: as root it creates a system user and changes permissions of
folders up to `/`. PostgreSQL refuses to run as root, so root starts it as `nobody`.

    with start_postgres() as postgres, start_redis() as redis:
        url = postgres.create_database("shop")      # postgres://postgres@127.0.0.1:PORT/shop
        redis.kill(); redis.start()                 # the port and the data folder stay the same

Everything is ended and removed by `stop()`, at exit, and when the starting process is killed.
"""

import os
import pwd
import signal
import subprocess

import psycopg
import redis as redis_client

from tests.binaries import postgres_binaries, redis_binary
from tests.databases import create_database, drop_database, rows_of
from tests.server import Server, ServerError


class Redis(Server):
    """A Redis or Valkey server that keeps nothing on disk."""

    name = "redis"
    unanswered = (OSError, redis_client.RedisError)

    @property
    def url(self) -> str:
        """`redis://127.0.0.1:PORT/0`."""
        return f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> list[str]:
        """The server without persistence, on loopback only."""
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        return [str(redis_binary()), *options, "--dir", str(self.folder)]

    def ping(self) -> None:
        """Asks PING on a fresh connection."""
        with redis_client.Redis(port=self.port, socket_timeout=1) as client:
            client.ping()


class Postgres(Server):
    """A PostgreSQL cluster whose only user, `postgres`, needs no password and is reached on loopback only."""

    name = "postgres"
    unanswered = (OSError, psycopg.Error)
    graceful = signal.SIGINT  # "fast shutdown": does not wait for clients to leave
    immediate = signal.SIGQUIT

    def __init__(self, *, durable: bool = False) -> None:
        super().__init__()
        self.durable = durable
        self.data = self.folder / "data"
        self.binaries = postgres_binaries(self.folder)
        user, group = self.identity()
        if user is not None and group is not None:
            os.chown(self.folder, user, group)
        self._initialise(user, group)

    def _initialise(self, user: int | None, group: int | None) -> None:
        options = ["--no-sync", "--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-locale"]
        done = subprocess.run(
            [str(self.binaries / "initdb"), "-D", str(self.data), *options],
            cwd=self.folder,
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"},
            capture_output=True,
            text=True,
            user=user,
            group=group,
            extra_groups=None if user is None else [],
        )
        if done.returncode:
            raise ServerError(f"initdb ended with code {done.returncode}\n{done.stdout}{done.stderr}")

    def identity(self) -> tuple[int | None, int | None]:
        """`nobody` when this process is root, because PostgreSQL refuses to run as root."""
        if os.geteuid() != 0:
            return None, None
        nobody = pwd.getpwnam("nobody")
        return nobody.pw_uid, nobody.pw_gid

    @property
    def url(self) -> str:
        """The maintenance database: `postgres://postgres@127.0.0.1:PORT/postgres`."""
        return f"postgres://postgres@127.0.0.1:{self.port}/postgres"

    def command(self) -> list[str]:
        """The server on loopback only; without `durable` it is faster and would not survive a power cut."""
        settings = ["listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=300"]
        if not self.durable:
            settings += ["fsync=off", "synchronous_commit=off", "full_page_writes=off"]
        options = [part for setting in settings for part in ("-c", setting)]
        return [str(self.binaries / "postgres"), "-D", str(self.data), "-p", str(self.port), *options]

    def ping(self) -> None:
        """Connects and asks `SELECT 1`."""
        rows_of(self.url, "SELECT 1")

    def create_database(self, name: str, *, template: str = "template0") -> str:
        """Creates a database, as a copy of `template` when one is named, and returns its address."""
        return create_database(self.url, name, template=template)

    def drop_database(self, name: str) -> None:
        """Drops a database even when processes are still connected to it."""
        drop_database(self.url, name)


def start_postgres(*, durable: bool = False) -> Postgres:
    """A new running cluster; `durable` keeps fsync on, for tests that count on nothing being lost."""
    return Postgres(durable=durable).start()


def start_redis() -> Redis:
    """A new running Redis or Valkey."""
    return Redis().start()
