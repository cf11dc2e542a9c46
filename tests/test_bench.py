"""The table of the benches: figures are read from what each prints, and only the last section is replaced."""

import sys
from pathlib import Path

import pytest

from bench import __main__ as benches
from bench.__main__ import HEADING, Row, rows_of, run, run_limited, write
from tests.processes import is_running, wait_until


def test_figures_beside_a_peer_have_a_ratio() -> None:
    printed = (
        '--- noise\n{"webhooks": {"baseline": {"per_second": 2000.0}, "daphne": {"per_second": 3000.0}}}'
    )
    assert rows_of("webhooks", printed) == [
        Row("webhooks", "baseline.per_second", "2000.0"),
        Row("webhooks", "daphne.per_second", "3000.0", "1.50"),
    ]


def test_each_series_of_a_bench_has_a_peer_of_its_own() -> None:
    printed = (
        '{"of 1": {"baseline": {"p99": 4.0}, "daphne": {"p99": 6.0}}, "of 20": {"daphne": {"p99": 9.0}}}'
    )
    assert rows_of("operator", printed) == [
        Row("operator", "of 1.baseline.p99", "4.0"),
        Row("operator", "of 1.daphne.p99", "6.0", "1.50"),
        Row("operator", "of 20.daphne.p99", "9.0"),
    ]


def test_a_figure_may_be_called_as_its_bench() -> None:
    assert rows_of("sessions", '{"sessions": 20}') == [Row("sessions", "sessions", "20")]


def test_figures_without_a_peer_are_listed() -> None:
    assert rows_of("sessions", '{"linked": {"p50": 1.5}, "hosts": 2}') == [
        Row("sessions", "linked.p50", "1.5"),
        Row("sessions", "hosts", "2"),
    ]


def test_lines_that_end_with_numbers_are_figures() -> None:
    printed = "Messages at idle\n  asked to the phone        12.5      80.0\n"
    assert rows_of("chain", printed) == [Row("chain", "asked to the phone", "12.5      80.0")]


def test_only_the_last_section_is_replaced(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text(f"# Performance\n\nHow it scales.\n\n{HEADING}\n\nold\n")
    write(page, "2 cores", [Row("push", "ours.p99", "3.1", "1.20")])
    text = page.read_text()
    assert text.startswith("# Performance\n\nHow it scales.\n")
    assert "old" not in text
    assert "| push | ours.p99 | 3.1 | 1.20 |" in text


def test_every_object_that_is_printed_has_its_figures() -> None:
    printed = '{"of 1": {"p99": 4.0}}\n{\n  "of 20": {"p99": 6.0}\n}\n{"of 40": {"p'
    assert rows_of("operator", printed) == [
        Row("operator", "of 1.p99", "4.0"),
        Row("operator", "of 20.p99", "6.0"),
    ]


def test_an_object_within_a_line_is_none_of_the_figures() -> None:
    printed = 'the list      12 ms\npruned {"messages": 3}\n'
    assert rows_of("support", printed) == [Row("support", "the list", "12 ms")]


def test_a_command_that_fails_keeps_what_it_printed() -> None:
    code = "print('a  1', flush=True); raise SystemExit(3)"
    assert run_limited([sys.executable, "-c", code], 60.0) == ("a  1\n", "exit code 3")


def test_a_command_that_takes_too_long_is_killed_with_what_it_started(tmp_path: Path) -> None:
    code = (
        "import subprocess, sys, pathlib\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"pathlib.Path({str(tmp_path / 'pid')!r}).write_text(str(child.pid))\n"
        "print('a  1', flush=True)\n"
        "child.wait()\n"
    )
    printed, failure = run_limited([sys.executable, "-c", code], 5.0)
    assert (printed, failure) == ("a  1\n", "stopped after 5 s")
    child = int((tmp_path / "pid").read_text())
    wait_until(lambda: not is_running(child), "the child is gone")


@pytest.mark.parametrize(
    ("printed", "failure", "rows"),
    [
        ("a  1\n", "exit code 1", [Row("chain", "a", "1"), Row("chain", "failed", "exit code 1")]),
        ("", "", [Row("chain", "failed", "no figures")]),
    ],
)
def test_a_bench_that_fails_has_a_row_that_says_so(
    printed: str, failure: str, rows: list[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benches, "run_limited", lambda _command, _limit: (printed, failure))
    assert run("chain", None, 1.0) == rows


def test_a_bench_without_its_peer_is_left_out_and_says_so() -> None:
    assert run("push", None, 1.0) == [Row("push", "left out", "it needs --baseline")]


def test_the_table_is_written_after_each_bench_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "performance.md"
    seen: list[str] = []

    def one(bench: str, _baseline: Path | None, _limit: float) -> list[Row]:
        seen.append(page.read_text() if page.exists() else "")
        return [Row(bench, "failed", "exit code 1")]

    monkeypatch.setattr(benches, "PAGE", page)
    monkeypatch.setattr(benches, "run", one)
    monkeypatch.setattr(sys, "argv", ["bench", "--only", "chain,support"])
    with pytest.raises(SystemExit) as ended:
        benches.main()
    assert ended.value.code == 1
    assert "| chain | failed | exit code 1 |" in seen[1]
    assert "| support | failed | exit code 1 |" in page.read_text()
