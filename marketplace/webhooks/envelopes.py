"""The outer fields of what YClients posts to us; what is inside `data` is not checked here.

Plain functions: a serializer's fields cost more than everything else that is done to a webhook.
"""

from dataclasses import dataclass, field
from typing import Any

from config.shared.storable import UNSTORABLE
from marketplace.webhooks.bodies import BadBody

MAX_ID = 2**63 - 1
MAX_DIGITS = 19


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """`{"salon_id", "application_id", "event", "partner_token"}`; some senders write `event_type`."""

    salon_id: int
    application_id: int
    event: str


@dataclass(frozen=True, slots=True)
class Entity:
    """`{"company_id", "resource", "resource_id", "status", "data"}`; `company_id` is the salon's id.

    `resource_id` and `status` are None when the body does not name them.
    """

    salon_id: int
    resource: str
    resource_id: str | None
    status: str | None


def is_entity(body: dict[str, Any]) -> bool:
    """Whether the body is an entity event, not a lifecycle event. Raises BadBody when it is neither."""
    if "resource" in body:
        return True
    if "event" in body or "event_type" in body:
        return False
    raise BadBody("The body is neither a lifecycle event nor an entity event.")


def read_lifecycle(body: dict[str, Any]) -> Lifecycle:
    """Return the envelope of a lifecycle event. Raises BadBody."""
    fields = _Fields(body)
    envelope = Lifecycle(
        salon_id=fields.number("salon_id"),
        application_id=fields.number("application_id"),
        event=fields.word("event" if body.get("event") else "event_type", most=64).lower(),
    )
    fields.check()
    return envelope


def read_entity(body: dict[str, Any]) -> Entity:
    """Return the envelope of an entity event. Raises BadBody."""
    fields = _Fields(body)
    envelope = Entity(
        salon_id=fields.number("company_id"),
        resource=fields.word("resource", most=40),
        resource_id=fields.optional_word("resource_id", most=64),
        status=fields.optional_word("status", most=20),
    )
    fields.check()
    return envelope


@dataclass(slots=True)
class _Fields:
    """Reads fields, and remembers the names of those that are missing or malformed."""

    body: dict[str, Any]
    wrong: list[str] = field(default_factory=list)

    def number(self, name: str) -> int:
        """A positive number, or its digits in a string; 0 when it is wrong."""
        value = self.body.get(name)
        if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= MAX_DIGITS:
            value = int(value)
        if type(value) is int and 0 < value <= MAX_ID:
            return value
        self.wrong.append(name)
        return 0

    def word(self, name: str, *, most: int) -> str:
        """A text of 1 to `most` characters, or a number as text; empty when it is wrong."""
        text = self._text(name, most)
        if not text:
            self.wrong.append(name)
        return text or ""

    def optional_word(self, name: str, *, most: int) -> str | None:
        """As `word`, but empty when the body says so, and None when it says nothing."""
        if self.body.get(name) is None:
            return None
        text = self._text(name, most)
        if text is None:
            self.wrong.append(name)
        return text

    def _text(self, name: str, most: int) -> str | None:
        value = self.body.get(name)
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            return None
        text = str(value).strip()
        return None if len(text) > most or UNSTORABLE.search(text) else text

    def check(self) -> None:
        """Raise BadBody with the names of what was wrong."""
        if self.wrong:
            raise BadBody(f"Missing or malformed: {', '.join(sorted(self.wrong))}.")
