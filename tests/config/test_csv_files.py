"""CSV files that spreadsheet programs open without computing anything."""

import pytest

from config.shared.csv_files import safe_cell


@pytest.mark.parametrize("text", ["=1+1", "+7", "-2", "@SUM(A1)", "\t=1", "\r=1", " =1+1", "＝1+1"])
def test_no_cell_of_the_export_is_a_formula(text: str) -> None:
    assert safe_cell(text) == f"'{text}"


def test_other_cells_of_the_export_are_left_as_they_are() -> None:
    assert [safe_cell(value) for value in ("Ждём = 10", 7, None, "")] == ["Ждём = 10", "7", "", ""]
