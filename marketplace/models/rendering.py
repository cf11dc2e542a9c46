"""Fills the words of a message in. Pure.

A template knows a few names in braces and nothing else: no attributes, no indexes, no formats, so that who
may write a template can read nothing but these values.
"""

import string
from collections.abc import Mapping
from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

# Of a value that stands in quotes itself, as Russian typography has them: «Студия „Линия“».
INNER_QUOTES = str.maketrans("«»", "„“")
NAMES = ("client", "date", "time", "services", "staff", "salon", "address", "phone")
LONGEST_TEMPLATE = 2000  # characters
LONGEST_VALUE = 300


class BadTemplate(ValueError):
    """The template cannot be filled in; `message` % `params` says why, in words for who wrote it."""

    def __init__(self, message: "_StrPromise", **params: str) -> None:
        super().__init__(str(message) % params)
        self.message = message
        self.params = params


def check(template: str) -> None:
    """Raises BadTemplate when `render` could not fill the template in, or would have nothing to say."""
    names = [name for line in template.splitlines() for _text, name in _parts(line) if name is not None]
    for name in names:
        if name not in NAMES:
            raise BadTemplate(
                _("There is no value {%(name)s}. Known are: %(names)s."),
                name=name[:40],
                names=", ".join(f"{{{known}}}" for known in NAMES),
            )
    # Zero-width letters alone are nothing to read either.
    if not any(letter.isprintable() and not letter.isspace() for letter in template):
        raise BadTemplate(_("The text is empty."))


def render(template: str, values: Mapping[str, str]) -> str:
    """Return the text. A line of which every value is empty is left out.

    `values` has every one of NAMES. Raises BadTemplate.
    """
    check(template)
    lines = [_line(line, values) for line in template.splitlines()]
    return "\n".join(line for line in lines if line is not None).strip()


def _line(line: str, values: Mapping[str, str]) -> str | None:
    parts = list(_parts(line))
    named = [name for _text, name in parts if name is not None]
    if named and not any(values[name] for name in named):
        return None
    said = ""
    for text, name in parts:
        said += text
        if name is not None:
            said += values[name].translate(INNER_QUOTES) if said.endswith("«") else values[name]
    return said


def _parts(line: str) -> list[tuple[str, str | None]]:
    """The line as pairs of plain text and the name that follows it."""
    try:
        parsed = list(string.Formatter().parse(line))
    except ValueError as error:
        raise BadTemplate(_("A brace stands alone. Write {{ or }} for a brace itself.")) from error
    for _text, name, format_spec, conversion in parsed:
        if name is not None and (format_spec or conversion):
            raise BadTemplate(_("Write only a name between the braces: {%(name)s}."), name=name[:40])
    return [(text, name) for text, name, _format, _conversion in parsed]


def one_line(value: str) -> str:
    """A value from outside as one line of bounded length."""
    return " ".join(value.split())[:LONGEST_VALUE]
