"""Requests of YClients to deliver notifications, and our answers: their shapes, in pure functions.

YCLIENTS API reference, "SMS through operators", names the outer fields and not the inner ones, so several
spellings are taken:
- the body is an object with `destination_params`, one object or a list of them; or an object that is itself
  one message; or a list of such objects, which is answered as one flat list in the order of the request;
- a message has `id` or `message_id`, and `phone`, `phone_number` or `to`, each a string or a number;
- `text`, `channel`, `dispatch_type`, `delivery_callback_url` and `salon_id` (or `company_id`) stand beside
  `destination_params` and hold for all, or inside one message and hold for it alone.
`from` and unknown fields are ignored: a message always comes from the salon's own number.

Answers are arrays. A refused message is answered in its place by a code, and the HTTP status stays 200; a
request that holds one message alone has the HTTP status of that message's code. A request that is refused as
a whole is answered by an array of one error without an id.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from django.utils.translation import gettext as _

from config.shared.storable import UNSTORABLE
from marketplace.yclients import safe_http

MAX_BYTES = 4 * 1024 * 1024
MAX_MESSAGES = 2000
MAX_TEXT = 4096  # characters
MAX_ID = 100  # characters

ID_NAMES = ("id", "message_id")
PHONE_NAMES = ("phone", "phone_number", "to")
SALON_NAMES = ("salon_id", "company_id")


class Code(IntEnum):
    """Why a message or a request is refused, as YClients numbers it."""

    BAD_BODY = 5
    BAD_FIELD = 10
    FORBIDDEN = 15
    BAD_TOKEN = 20
    NOT_FOUND = 30
    NO_FUNDS = 32

    @property
    def http_status(self) -> int:
        """The HTTP status that goes with the code when it answers the whole request."""
        return {5: 400, 10: 400, 15: 403, 20: 401, 30: 404, 32: 200}[self]


class BadRequest(Exception):
    """The request as a whole cannot be read; the text says why, in words for the sender."""


@dataclass(frozen=True, slots=True)
class Notification:
    """One message that YClients wants delivered; `phone` is as written, everything else is checked.

    `salon_id` is YClients' number when the message names a salon; `callback_url` is empty when no statuses
    are wanted.
    """

    id: str
    phone: str
    text: str
    category: str
    callback_url: str
    salon_id: int | None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A message that is not taken; `id` is empty when none could be read."""

    id: str
    code: Code
    words: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """A message that is in the database under our `ext_id`."""

    id: str
    ext_id: str


class _Refused(Exception):
    """A field of one message is invalid; the text says which and why."""


def read(raw: bytes) -> list[Notification | Refusal]:
    """Return the messages of a request's body in its order. Raises BadRequest."""
    try:
        body: Any = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise BadRequest(_("The body is not JSON.")) from error
    messages = list(_flattened(body))
    if not messages:
        raise BadRequest(_("The request holds no messages."))
    if len(messages) > MAX_MESSAGES:
        raise BadRequest(_("The request holds more than %(most)d messages.") % {"most": MAX_MESSAGES})
    return [_read_one(message) for message in messages]


def answer(results: Sequence[Accepted | Refusal]) -> tuple[int, list[dict[str, Any]]]:
    """Return the HTTP status and the JSON array that answer a request."""
    rows = [_row(result) for result in results]
    alone = results[0] if len(results) == 1 else None
    return (alone.code.http_status if isinstance(alone, Refusal) else 200), rows


def refusal_of_request(code: Code, words: str) -> list[dict[str, Any]]:
    """Return the JSON array that refuses a request as a whole."""
    return [{"error_code": int(code), "error_message": words}]


def _row(result: Accepted | Refusal) -> dict[str, Any]:
    if isinstance(result, Accepted):
        return {"id": result.id, "ext_id": result.ext_id}
    return {"id": result.id, "error_code": int(result.code), "error_message": result.words}


def _flattened(body: Any) -> Iterator[Any]:
    """Yield one merged object for each message; what is not an object is yielded as it is."""
    if isinstance(body, dict) and "destination_params" not in body and not _is_message(body):
        raise BadRequest(_("The field destination_params is missing."))
    if not isinstance(body, dict | list):
        raise BadRequest(_("The body is neither an object nor a list of objects."))
    for part in body if isinstance(body, list) else [body]:
        if not isinstance(part, dict) or "destination_params" not in part:
            yield part
            continue
        targets = part["destination_params"]
        if not isinstance(targets, dict | list):
            raise BadRequest(_("The field destination_params is neither an object nor a list of objects."))
        common = {name: value for name, value in part.items() if name != "destination_params"}
        for target in targets if isinstance(targets, list) else [targets]:
            yield {**common, **target} if isinstance(target, dict) else target


def _is_message(body: dict[str, Any]) -> bool:
    return any(name in body for name in (*ID_NAMES, *PHONE_NAMES))


def _read_one(message: Any) -> Notification | Refusal:
    if not isinstance(message, dict):
        return Refusal("", Code.BAD_FIELD, _("The message is not an object."))
    own_id = _scalar(message, ID_NAMES)
    if not own_id or len(own_id) > MAX_ID or UNSTORABLE.search(own_id):
        words = _("The field id must be a string or a number of 1 to %(most)d characters.")
        return Refusal("", Code.BAD_FIELD, words % {"most": MAX_ID})
    try:
        _check_channel(message.get("channel"))
        return Notification(
            id=own_id,
            phone=_phone(message),
            text=_text(message.get("text")),
            category=_category(message.get("dispatch_type")),
            callback_url=_callback_url(message.get("delivery_callback_url")),
            salon_id=_salon_id(message),
        )
    except _Refused as error:
        return Refusal(own_id, Code.BAD_FIELD, str(error))


def _scalar(message: dict[str, Any], names: tuple[str, ...]) -> str:
    """Return the first of the named fields that says something, as text; empty when none does."""
    for name in names:
        value = message.get(name)
        if isinstance(value, str | int) and not isinstance(value, bool) and value != "":
            return str(value)
    return ""


def _phone(message: dict[str, Any]) -> str:
    phone = _scalar(message, PHONE_NAMES)
    if not phone or len(phone) > 64:
        raise _Refused(_("The field phone is missing or is not a phone number."))
    return phone


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise _Refused(_("The field text must be a string."))
    # A sender that cuts long texts leaves half of an emoji at the end; the rest is worth delivering.
    text = UNSTORABLE.sub("", value)
    if not text.strip():
        raise _Refused(_("The field text is empty."))
    if len(text) > MAX_TEXT:
        raise _Refused(_("The field text is longer than %(most)d characters.") % {"most": MAX_TEXT})
    return text


def _word(value: Any, name: str, otherwise: str) -> str:
    if value is None or value == "":
        return otherwise
    if not isinstance(value, str):
        raise _Refused(_("The field %(name)s must be a string.") % {"name": name})
    return value.strip().lower()


def _check_channel(value: Any) -> None:
    if _word(value, "channel", "whatsapp") != "whatsapp":
        raise _Refused(_("Only the channel whatsapp is served here."))


def _category(value: Any) -> str:
    category = _word(value, "dispatch_type", "service")
    if category not in ("service", "adds"):
        raise _Refused(_("The field dispatch_type must be service or adds."))
    return category


def _callback_url(value: Any) -> str:
    if value is None or value == "":
        return ""
    if not isinstance(value, str):
        raise _Refused(_("The field delivery_callback_url must be a string."))
    try:
        safe_http.check(value)
    except safe_http.AddressRefused as error:
        words = _("The field delivery_callback_url must be an https address of YCLIENTS.")
        raise _Refused(words) from error
    return value


def _salon_id(message: dict[str, Any]) -> int | None:
    if all(message.get(name) is None for name in SALON_NAMES):
        return None
    said = _scalar(message, SALON_NAMES)
    if not (said.isascii() and said.isdecimal() and 0 < len(said) < 19 and int(said) > 0):
        raise _Refused(_("The field salon_id must be a positive number."))
    return int(said)
