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
EXPORT_ROWS = 50_000
WINDOW = 20_000  # messages that one page of a rare state or kind is looked for in
SHORTEST_SEARCH, LONGEST_SEARCH = 4, 40  # digits, characters
STATES = {
    "queued": gettext_lazy("Waiting"),
    "sent": gettext_lazy("Sent"),
    "delivered": gettext_lazy("Delivered"),
    "read": gettext_lazy("Read"),
    "failed": gettext_lazy("Failed"),
}
Source = Message.Source
KINDS = {
    "notification": (gettext_lazy("YClients notifications"), [Source.OPERATOR]),
    "booking": (gettext_lazy("About bookings"), [Source.BOOKING]),
    "reminder": (gettext_lazy("Reminders"), [Source.REMINDER]),
    "answer": (gettext_lazy("Your answers"), [Source.CABINET]),
    "api": (gettext_lazy("From your programs"), [Source.API]),
    "other": (gettext_lazy("Other"), [Source.WELCOME, Source.TEST, Source.SUPPORT, Source.OPTOUT]),
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
class Choice:
    """What a list or a file is narrowed to; what cannot be understood of a query is left out, and said of a
    search in `problem`."""

    state: str = ""
    kind: str = ""
    search: str = ""

    @classmethod
    def read(cls, query: Mapping[str, Any]) -> "Choice":
        state, kind = query.get("state", ""), query.get("kind", "")
        search = query.get("q", "").strip()[:LONGEST_SEARCH]
        return cls(state if state in OUTCOMES else "", kind if kind in KINDS else "", search)

    @property
    def problem(self) -> str:
        if self.search and len(digits_in(self.search)) < SHORTEST_SEARCH:
            return _("Type a phone number, or at least its last four digits.")
        return ""

    def of(self, rows: "QuerySet[Message]", salon: Company) -> "QuerySet[Message]":
        """Those of the salon's messages that are chosen."""
        if self.state:
            rows = rows.filter(status__in=OUTCOMES[self.state])
        if self.kind:
            rows = rows.filter(source__in=KINDS[self.kind][1])
        if self.search:
            rows = rows.filter(phone_is(digits_in(self.search), region=region_of_salon(salon)))
        return rows

    @property
    def fields(self) -> list[tuple[str, str]]:
        """Names and values of a form, or of a query, that chooses the same."""
        found = {"state": self.state, "kind": self.kind, "q": self.search}
        return [(name, value) for name, value in found.items() if value]

    def query(self, **more: Any) -> str:
        """The query string that chooses the same but for `more`."""
        return urlencode({name: value for name, value in {**dict(self.fields), **more}.items() if value})


@dataclass(frozen=True, slots=True)
class MessageList:
    """A page of the list, what it was chosen by, and where it goes on."""

    rows: list[Row]
    choice: Choice
    older: str  # query string of the next page, empty at the end
    searched_to: datetime | None  # where it stopped looking, when it did not find a whole page

    @classmethod
    def read(cls, salon: Company, query: Mapping[str, Any]) -> "MessageList":
        """Read one page. Of a state or a kind, which may be rare, it looks through WINDOW messages only."""
        choice, before = Choice.read(query), row_number(query.get("before", ""))
        is_rare = (choice.state or choice.kind) and not choice.search  # a phone has an index
        edge = _edge(salon, before) if is_rare else None
        page = list(_between(choice.of(messages_of(salon), salon), edge, before)[: PAGE + 1])
        rows = [Row.of(message) for message in page[:PAGE]]
        if len(page) > PAGE:
            return cls(rows, choice, choice.query(before=page[PAGE - 1].pk), None)
        if edge is None:
            return cls(rows, choice, "", None)
        return cls(rows, choice, choice.query(before=edge.pk), edge.created_at)


def states(choice: Choice) -> list[tuple[str, Any, str]]:
    """The states to choose from: word, name, query string that keeps the rest of the choice."""
    names = {"": gettext_lazy("All"), **STATES}
    return [(word, name, choice.query(state=word)) for word, name in names.items()]


def kinds(choice: Choice) -> list[tuple[str, Any, str]]:
    """The kinds to choose from, as `states`."""
    names = {"": gettext_lazy("All"), **{word: name for word, (name, _sources) in KINDS.items()}}
    return [(word, name, choice.query(kind=word)) for word, name in names.items()]


def messages_of(salon: Company) -> "QuerySet[Message]":
    """The messages to clients of the salon's number, the newest first."""
    # One-time links to the salon itself are for who holds the phone alone.
    found = _all_of(salon).filter(direction=Message.Direction.OUT).select_related("media")
    found = found.exclude(external_id__startswith=access.LINK_MESSAGE)
    return found.defer("callback_url", "media__key", "media__reference", "media__name")


def export(salon: Company, *, choice: Choice, since: datetime, language: str) -> AsyncIterator[bytes]:
    """The salon's chosen messages since then as a CSV file in pieces, newest first, EXPORT_ROWS at most.

    Times are by the salon's clock.
    """
    zone, left = clock.zone_of(salon), EXPORT_ROWS

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
        nonlocal left
        edge, most = _edge(salon, before), min(EXPORT_PAGE, left)
        page = list(_between(choice.of(messages_of(salon), salon), edge, before)[:most])
        young = [message for message in page if message.created_at >= since]
        left -= len(young)
        following = page[-1].pk if len(page) == most else None
        if following is None and edge is not None and edge.created_at >= since:
            following = edge.pk
        ends = left == 0 or len(young) < len(page)
        return [list(cells(message)) for message in young], None if ends else following

    return csv_files.stream(header=header, read_page=read_page, language=language)


def _all_of(salon: Company) -> "QuerySet[Message]":
    """Everything to and from the salon's number, the newest first.

    Between one key and the same: by an equality PostgreSQL may walk the primary key, past the messages of all
    salons. In this order `message_by_session` alone lies.
    """
    if salon.session_id is None:
        return Message.objects.none()
    mine = Message.objects.filter(session__gte=salon.session_id, session__lte=salon.session_id)
    return mine.order_by("session_id", "-id")


def _edge(salon: Company, before: int | None) -> Message | None:
    """The last one of the WINDOW messages from `before` on; None when there are fewer."""
    rows = _all_of(salon) if before is None else _all_of(salon).filter(pk__lt=before)
    pk = rows.values_list("pk", flat=True)[WINDOW - 1 : WINDOW].first()
    return None if pk is None else Message.objects.only("pk", "created_at").get(pk=pk)


def _between(rows: "QuerySet[Message]", edge: Message | None, before: int | None) -> "QuerySet[Message]":
    rows = rows if edge is None else rows.filter(pk__gte=edge.pk)
    return rows if before is None else rows.filter(pk__lt=before)
