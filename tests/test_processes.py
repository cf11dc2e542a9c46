"""The harness of the journeys: it must notice what a test could mistake for the product's behaviour."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.environment import ROOT, clean_environment
from tests.processes import Process, ProcessError, Stack, answers, wait_until
from tests.server import free_port
from tests.servers import Postgres, start_postgres

SERVES = "import http.server as h; h.test(h.SimpleHTTPRequestHandler, port={port}, bind='127.0.0.1')"
DEAF = "import signal, time; signal.signal(15, lambda *a: None); print('up', flush=True); time.sleep(60)"


def says_up(process: Process) -> bool:
    return process.said("up")


@pytest.fixture(params=[False, True], ids=["executed", "forked"])
def stack(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stack]:
    environment = {"BASE_URL": "http://127.0.0.1", "GIVEN": "a word", "PYTHONUNBUFFERED": "1"}
    made = Stack(folder=tmp_path / "logs", environment=environment, forked=request.param)
    yield made
    for process in made.processes.values():
        process.kill()


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


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
    stack.start("web")
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


def test_a_process_is_the_leader_of_a_session_and_is_called_as_it_was_started(stack: Stack) -> None:
    code = "import os, sys, time; print(os.getcwd(), sys.argv, __name__); print('up'); time.sleep(60)"
    process = stack.add("web", [*python(code), "--port", "80"], ready=says_up)
    stack.start("web")
    assert f"{ROOT} ['-c', '--port', '80'] __main__\n" in process.log_text()
    assert os.getsid(process.pid) == process.pid


def test_a_killed_process_is_noticed_and_what_it_printed_stays(stack: Stack) -> None:
    process = stack.add("web", python("print('up'); import time; time.sleep(60)"), ready=says_up)
    stack.start("web")
    os.kill(process.pid, signal.SIGKILL)
    with pytest.raises(ProcessError, match=r"ended with code -9\n(.*\n)*up"):
        wait_until(lambda: not process.wait_until_ready(), "it is noticed")


def test_an_orderly_end_has_an_exit_code(stack: Stack) -> None:
    code = "import signal, sys, time; signal.signal(15, lambda *_: sys.exit(7)); print('up'); time.sleep(60)"
    stack.add("web", python(code), ready=says_up)
    stack.start("web")
    assert stack.terminate("web") == 7


@pytest.mark.parametrize("forked", [False, True], ids=["executed", "forked"])
def test_a_command_of_the_product_runs_under_the_given_settings(forked: bool, tmp_path: Path) -> None:
    given = {"DATABASE_URL": f"sqlite:///{tmp_path / 'db.sqlite3'}", "DATA_DIR": str(tmp_path)}
    environment = {**clean_environment(), **given, "SUPPORT_EMAIL": "anna@example.com"}
    stack = Stack(folder=tmp_path / "logs", environment=environment, forked=forked)
    code = "from django.conf import settings; print(settings.SUPPORT_EMAIL)"
    assert stack.shell(code) == "anna@example.com"
    with pytest.raises(ProcessError, match=r"ended with code 1\n(.*\n)*ZeroDivisionError"):
        stack.shell("1 / 0")


def test_rows_are_read_past_the_product(tmp_path: Path, cluster: Postgres) -> None:
    for url in (cluster.create_database("rows"), f"sqlite:///{tmp_path / 'rows.sqlite3'}"):
        stack = Stack(folder=tmp_path, environment={"DATABASE_URL": url})
        stack.query("CREATE TABLE salon (id int, title text)")
        stack.query("INSERT INTO salon VALUES (%s, %s)", 7, "Anna")
        assert stack.query("SELECT title FROM salon WHERE id = %s", 7) == [("Anna",)]
        cluster.restart()
        assert stack.query("SELECT title FROM salon") == [("Anna",)]
        stack.close()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Postgres]:
    with start_postgres() as server:
        yield server
