"""A booking as it is known, the visit that its messages are about, and these messages. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from marketplace.models.booking_kinds import Kind

CAME, DID_NOT_COME = 1, -1  # `attendance`: 2 is confirmed, 0 waiting

# Each field: [value, time of change, rank of the change within its second].
Fields = dict[str, list[Any]]
Named = tuple[int | None, str]


@dataclass(frozen=True, slots=True)
class Visit:
    """What a client learns of a booking. Staff and services are (id, name) pairs, None while not known."""

    starts_at: datetime
    services: tuple[Named, ...] | None = None
    staff: Named | None = None
    client_id: int | None = None
    client: str = ""

    def differs_from(self, other: "Visit") -> bool:
        """Whether it is another time, another person or other services.

        A mere renaming does not count, nor what was not known before.
        """
        return (
            self.starts_at != other.starts_at
            or _differ(_one(self.staff), _one(other.staff))
            or _differ(self.services, other.services)
        )


def _one(named: Named | None) -> tuple[Named, ...] | None:
    return None if named is None else (named,)


def _differ(some: tuple[Named, ...] | None, others: tuple[Named, ...] | None) -> bool:
    if some is None or others is None:
        return False
    return sorted(map(_identity, some)) != sorted(map(_identity, others))


def _identity(named: Named) -> str:
    number, name = named
    return name if number is None else f"#{number}"


@dataclass(frozen=True, slots=True)
class SentNotice:
    """A message that was queued; `message` is the number of its row."""

    message: int
    kind: Kind
    phone: str
    visit: Visit


@dataclass(frozen=True, slots=True)
class NewNotice:
    """A message to queue."""

    kind: Kind
    phone: str
    visit: Visit

    def replaces(self, sent: SentNotice) -> bool:
        """Whether it says the same kind of thing to the same phone."""
        return self.kind == sent.kind and self.phone == sent.phone


@dataclass(frozen=True, slots=True)
class Booking:
    """What is known of one booking.

    `known` is what each phone knows of it; None while the making was not seen and nothing could be assumed.
    `assumed` is the phone of who is assumed to know the first state that we saw, not having seen the making.
    `notices` are messages whose end is not settled yet.
    """

    fields: Fields
    known: Mapping[str, Visit] | None = None
    assumed: str = ""
    notices: tuple[SentNotice, ...] = ()

    @property
    def deleted(self) -> bool:
        return bool(self._value("deleted"))

    @property
    def phone(self) -> str:
        client = self._value("client")
        return client[2] if client else ""

    @property
    def visit(self) -> Visit | None:
        """The visit as it stands, deleted or not; None while its time is not known."""
        start = self._value("start")
        if start is None:
            return None
        client_id, name, _phone = self._value("client") or (None, "", "")
        return Visit(
            starts_at=datetime.fromisoformat(start),
            services=_all_named(self._value("services")),
            staff=_named(self._value("staff")),
            client_id=client_id,
            client=name,
        )

    @property
    def is_expected(self) -> bool:
        """Neither deleted nor marked as come or not come."""
        return not self.deleted and self._value("attendance") not in (CAME, DID_NOT_COME)

    def _value(self, field: str) -> Any:
        return self.fields[field][0] if field in self.fields else None


def _named(value: Sequence[Any] | None) -> Named | None:
    return None if value is None else (value[0], value[1])


def _all_named(values: Sequence[Any] | None) -> tuple[Named, ...] | None:
    return None if values is None else tuple((value[0], value[1]) for value in values)
