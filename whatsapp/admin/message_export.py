"""Messages as a CSV file for support staff."""

from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from config.shared import csv_files
from whatsapp.messages.story import cause
from whatsapp.models import Message

PAGE = 1000  # messages read at once
Salons = Callable[[Message], str]


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
    return ["" if cell is None else str(cell) for cell in cells]


def _time(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}" if at else ""


def stream(messages: QuerySet[Message], *, salons: Salons, language: str) -> AsyncIterator[bytes]:
    """The file in pieces, newest first."""

    def read_page(before: int | None) -> tuple[list[list[str]], int | None]:
        rows = messages.order_by("-id") if before is None else messages.order_by("-id").filter(pk__lt=before)
        found: list[Any] = list(rows[:PAGE])
        return [row(each, salons) for each in found], found[-1].pk if len(found) == PAGE else None

    return csv_files.stream(header=header, read_page=read_page, language=language)
