"""CSV files that spreadsheet programs open safely, streamed in pages."""

import csv
import io
from collections.abc import AsyncIterator, Callable, Iterable

from django.utils import translation

from config.shared.database import in_thread

# A cell that begins so is a formula to a spreadsheet program (OWASP, "CSV Injection").
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")

# Gives the rows below a key, None for the first ones, and the key to go on with, None at the end.
ReadPage = Callable[[int | None], tuple[list[list[str]], int | None]]


def safe_cell(value: object) -> str:
    """The value as text that no spreadsheet program computes: what would be a formula gets an apostrophe."""
    text = "" if value is None else str(value)
    return f"'{text}" if text.lstrip(" ").startswith(FORMULA_STARTS) else text


async def stream(
    *, header: Callable[[], list[str]], read_page: ReadPage, language: str
) -> AsyncIterator[bytes]:
    """The file in pieces; `header` and `read_page` are called with `language` active.

    Each page is a query of its own: no transaction stays open while a slow line takes the file. Russian
    spreadsheet programs want semicolons, the others commas; the byte order mark tells all of them that the
    text is UTF-8.
    """
    delimiter = ";" if language.startswith("ru") else ","

    def page(before: int | None) -> tuple[bytes, int | None]:
        with translation.override(language):
            rows, following = read_page(before)
        return _lines(rows, delimiter), following

    with translation.override(language):
        yield b"\xef\xbb\xbf" + _lines([header()], delimiter)
    before: int | None = None
    while True:
        lines, before = await in_thread(page, before)
        yield lines
        if before is None:
            return


def _lines(rows: Iterable[list[str]], delimiter: str) -> bytes:
    text = io.StringIO()
    safe = ([safe_cell(cell) for cell in row] for row in rows)
    csv.writer(text, delimiter=delimiter, lineterminator="\r\n").writerows(safe)
    return text.getvalue().encode()
