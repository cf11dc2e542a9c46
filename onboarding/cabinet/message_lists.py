"""A salon's messages as lists, rows and a file; every query is bounded by an index."""

from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from config.shared import csv_files
from marketplace.models import Company
from marketplace.salons import access, clock
from marketplace.salons.phone_numbers import region_of_salon
from onboarding.cabinet.statistics import OUTCOME_OF, OUTCOMES
from onboarding.cabinet.views import row_number
from onboarding.rendering import phones
from whatsapp.messages import story
from whatsapp.messages.phone_search import digits_in, phone_is
from whatsapp.models import Message

PAGE, EXPORT_PAGE = 50, 1000
LONGEST_SEARCH = 40  # characters
STATES = {
    "queued": gettext_lazy("Waiting"),
    "sent": gettext_lazy("Sent"),
    "delivered": gettext_lazy("Delivered"),
    "read": gettext_lazy("Read"),
    "failed": gettext_lazy("Failed"),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One message as the list shows it."""

    id: int
    phone: str
    text: str
    kind: str
    outcome: str  # of `statistics.OUTCOMES`
    state: str
    cause: str
    created_at: datetime

    @classmethod
    def of(cls, message: Message) -> "Row":
        return cls(
            id=message.pk,
            phone=phones.formatted(message.phone),
            text=message.text or (message.media.get_kind_display() if message.media else ""),
            kind=message.get_source_display(),
            outcome=OUTCOME_OF[message.status],
            state=message.get_status_display(),
            cause=story.cause(message),
            created_at=message.created_at,
        )


@dataclass(frozen=True, slots=True)
class MessageList:
    """A page of the list, what it was chosen by, and where it goes on."""

    rows: list[Row]
    state: str
    search: str
    problem: str
    older: str  # query string of the next page, empty at the end

    @classmethod
    def read(cls, salon: Company, query: Mapping[str, Any]) -> "MessageList":
        """Read one page; what cannot be understood of the query is left out, and said of a search."""
        state = query.get("state", "") if query.get("state", "") in OUTCOMES else ""
        search = query.get("q", "").strip()[:LONGEST_SEARCH]
        found = messages_of(salon)
        problem = ""
        if state:
            found = found.filter(status__in=OUTCOMES[state])
        if search:
            digits = digits_in(search)
            if len(digits) < 4:
                problem = _("Type a phone number, or at least its last four digits.")
            found = found.filter(phone_is(digits, region=region_of_salon(salon)))
        if before := row_number(query.get("before", "")):
            found = found.filter(pk__lt=before)
        page = list(found.order_by("-id")[: PAGE + 1])
        older = {"state": state, "q": search, "before": page[PAGE - 1].pk} if len(page) > PAGE else {}
        return cls(
            [Row.of(message) for message in page[:PAGE]],
            state,
            search,
            problem,
            urlencode({name: value for name, value in older.items() if value}),
        )


def states(listed: MessageList) -> list[tuple[str, Any, str]]:
    """The states to choose from: word, name, query string that keeps the search."""
    found = []
    for word, name in {"": gettext_lazy("All"), **STATES}.items():
        chosen = {"state": word, "q": listed.search}
        found.append((word, name, urlencode({key: value for key, value in chosen.items() if value})))
    return found


def messages_of(salon: Company) -> "QuerySet[Message]":
    """The messages to clients of the salon's number."""
    if salon.session_id is None:
        return Message.objects.none()
    out = Message.objects.filter(session=salon.session_id, direction=Message.Direction.OUT)
    # One-time links to the salon itself are for who holds the phone alone.
    out = out.exclude(external_id__startswith=access.LINK_MESSAGE).select_related("media")
    return out.defer("callback_url", "media__key", "media__reference", "media__name")


def export(salon: Company, *, since: datetime, language: str) -> AsyncIterator[bytes]:
    """The salon's messages since then as a CSV file in pieces, newest first; times by the salon's clock."""
    zone = clock.zone_of(salon)

    def header() -> list[str]:
        return [_("taken"), _("Phone"), _("Message"), _("kind"), _("state"), _("reason"), _("sent"),
                _("delivered"), _("read")]  # fmt: skip

    def cells(message: Message) -> Iterator[str]:
        row = Row.of(message)
        yield from (_moment(row.created_at), row.phone, row.text, str(row.kind), str(row.state), row.cause)
        for moment in (message.sent_at, message.delivered_at, message.read_at):
            yield _moment(moment)

    def _moment(moment: datetime | None) -> str:
        return f"{timezone.localtime(moment, zone):%Y-%m-%d %H:%M:%S}" if moment else ""

    def read_page(before: int | None) -> tuple[list[list[str]], int | None]:
        rows = messages_of(salon).order_by("-id")
        page = list((rows if before is None else rows.filter(pk__lt=before))[:EXPORT_PAGE])
        young = [message for message in page if message.created_at >= since]
        more = len(young) == EXPORT_PAGE
        return [list(cells(message)) for message in young], page[-1].pk if more else None

    return csv_files.stream(header=header, read_page=read_page, language=language)
