"""The table of the benches: figures are read from what each prints, and only the last section is replaced."""

from pathlib import Path

from bench.__main__ import HEADING, Row, rows_of, write


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
