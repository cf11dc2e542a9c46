"""Messages as a CSV file that spreadsheet programs open safely, streamed in pages."""

import csv
import io
from collections.abc import AsyncIterator, Callable, Iterable
from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from django.utils import translation
from django.utils.translation import gettext as _

from config.shared.database import in_thread
from whatsapp.admin.message_story import cause
from whatsapp.models import Message

PAGE = 1000  # messages read at once
# A cell that begins so is a formula to a spreadsheet program (OWASP, "CSV Injection").
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")

Salons = Callable[[Message], str]


def safe_cell(value: object) -> str:
    """The value as text that no spreadsheet program computes: what would be a formula gets an apostrophe."""
    text = "" if value is None else str(value)
    return f"'{text}" if text.lstrip(" ").startswith(FORMULA_STARTS) else text


def header() -> list[str]:
    """The titles of the columns in the language that is active."""
    return [
        _("number"), _("salon"), _("direction"), _("phone"), _("status"), _("cause"), _("source"),
        _("category"), _("text"), _("created"), _("not before"), _("handed to WhatsApp"), _("sent"),
        _("delivered"), _("read"), _("ended"), _("attempts"), _("telling"), _("name at the sender"),
    ]  # fmt: skip


def row(message: Message, salons: Salons) -> list[str]:
    """One message's cells; times are UTC. Neither its callback address nor WhatsApp's keys are among them."""
    cells = (
        message.pk, salons(message), message.get_direction_display(), message.phone,
        message.get_status_display(), cause(message), message.get_source_display(),
        message.get_category_display(), message.text or (message.note and f"[{message.note}]"),
        _time(message.created_at), _time(message.not_before), _time(message.sending_at),
        _time(message.sent_at), _time(message.delivered_at), _time(message.read_at),
        _time(message.finished_at), message.attempts, message.get_callback_state_display(),
        message.external_id,
    )  # fmt: skip
    return [safe_cell(cell) for cell in cells]


def _time(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}" if at else ""


def _lines(rows: Iterable[list[str]], delimiter: str) -> bytes:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode()


async def stream(messages: QuerySet[Message], *, salons: Salons, language: str) -> AsyncIterator[bytes]:
    """The file in pieces, newest first. Each page is a query of its own: no transaction stays open while a
    slow line takes the file.

    Russian spreadsheet programs want semicolons, the others commas; the byte order mark tells all of them
    that the text is UTF-8.
    """
    delimiter = ";" if language.startswith("ru") else ","

    def page(before: int | None) -> tuple[bytes, int | None]:
        rows = messages.order_by("-id") if before is None else messages.order_by("-id").filter(pk__lt=before)
        found: list[Any] = list(rows[:PAGE])
        with translation.override(language):
            lines = _lines([row(message, salons) for message in found], delimiter)
        return lines, found[-1].pk if len(found) == PAGE else None

    with translation.override(language):
        yield b"\xef\xbb\xbf" + _lines([header()], delimiter)
    before: int | None = None
    while True:
        lines, before = await in_thread(page, before)
        yield lines
        if before is None:
            return
