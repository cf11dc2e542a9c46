"""The harness of the journeys: it must notice what a test could mistake for the product's behaviour."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import Process, ProcessError, Stack, answers
from tests.server import free_port
from tests.servers import Postgres, start_postgres

SERVES = "import http.server as h; h.test(h.SimpleHTTPRequestHandler, port={port}, bind='127.0.0.1')"
DEAF = "import signal, time; signal.signal(15, lambda *a: None); print('up', flush=True); time.sleep(60)"


def says_up(process: Process) -> bool:
    return process.said("up")


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    made = Stack(folder=tmp_path / "logs", environment={"BASE_URL": "http://127.0.0.1", "GIVEN": "a word"})
    yield made
    for process in made.processes.values():
        process.kill()


def python(code: str) -> list[str]:
    return [sys.executable, "-u", "-c", code]


def test_start_returns_when_the_process_answers(stack: Stack) -> None:
    port = free_port()
    process = stack.add("web", python(SERVES.format(port=port)), ready=lambda _: answers(url))
    url = f"http://127.0.0.1:{port}/"
    stack.start("web")
    assert answers(url)
    stack.kill("web")
    assert not process.running
    assert not answers(url)
    stack.start("web")
    assert answers(url)


def test_a_process_that_dies_at_once_is_reported_with_its_words(stack: Stack) -> None:
    stack.add("web", python("raise SystemExit('the port is taken')"), ready=says_up)
    with pytest.raises(ProcessError, match=r"ended with code 1\n(.*\n)*the port is taken"):
        stack.start("web")


def test_a_process_gets_only_the_given_environment(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://someone/else")
    code = "import os, time; print(os.environ.get('DATABASE_URL'), os.environ['GIVEN'], os.environ['MORE'])"
    process = stack.add("web", python(f"{code}; print('up'); time.sleep(60)"), ready=says_up, MORE="more")
    process.start()
    assert "None a word more\n" in process.log_text()


def test_log_lines_of_an_earlier_start_do_not_count(stack: Stack) -> None:
    process = stack.add("pool", python("print('up'); import time; time.sleep(60)"), ready=says_up)
    stack.start("pool")
    stack.kill("pool")
    process.command = python("raise SystemExit(3)")
    with pytest.raises(ProcessError, match="ended with code 3"):
        stack.start("pool")


def test_a_process_that_ignores_sigterm_is_killed_and_reported(stack: Stack) -> None:
    process = stack.add("worker", python(DEAF), ready=says_up)
    stack.start("worker")
    with pytest.raises(ProcessError, match=r"worker still ran 0\.5 s after SIGTERM"):
        process.terminate(0.5)
    assert not process.running


def test_rows_are_read_past_the_product(tmp_path: Path, cluster: Postgres) -> None:
    for url in (cluster.create_database("rows"), f"sqlite:///{tmp_path / 'rows.sqlite3'}"):
        stack = Stack(folder=tmp_path, environment={"DATABASE_URL": url})
        stack.query("CREATE TABLE salon (id int, title text)")
        stack.query("INSERT INTO salon VALUES (%s, %s)", 7, "Anna")
        assert stack.query("SELECT title FROM salon WHERE id = %s", 7) == [("Anna",)]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Postgres]:
    with start_postgres() as server:
        yield server
