"""Bars of long commands: on a terminal alone."""

import json
import os
import pty
import subprocess
import sys
from io import StringIO

import pytest
from django.core.management import call_command

from config.shared.progress import with_progress
from tests.environment import ROOT

SHOW = """
from config.shared.progress import with_progress
list(with_progress(range(3), total=3, what="salons"{}))
"""


def on_a_terminal(code: str) -> str:
    """What a process writes to its terminal."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", code]
    subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=theirs, check=True)
    os.close(theirs)
    with os.fdopen(ours, "rb") as terminal:
        return b"".join(iter(lambda: _read(terminal.fileno()), b"")).decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # the other end is closed
        return b""


def test_a_terminal_shows_how_far_it_is() -> None:
    written = on_a_terminal(SHOW.format(""))
    assert "salons" in written
    assert "0/3" in written


def test_who_wants_json_sees_no_bar() -> None:
    assert on_a_terminal(SHOW.format(", quiet=True")) == ""


def test_without_a_terminal_nothing_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(with_progress([1, 2], total=2, what="salons")) == [1, 2]
    assert capsys.readouterr().err == ""


@pytest.mark.django_db
@pytest.mark.parametrize("command", [("prune", "--dry-run"), ("rotate_encryption_keys", "--check")])
def test_long_commands_give_one_json_object(command: tuple[str, ...]) -> None:
    out = StringIO()
    call_command(*command, "--json", stdout=out)
    assert isinstance(json.loads(out.getvalue()), dict)
