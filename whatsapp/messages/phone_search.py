"""Finding messages by a client's phone as a person types it: the whole number, or its last digits."""

import re

from django.db.models import Q
from django.db.models.functions import Reverse
from django.db.models.lookups import GreaterThanOrEqual, LessThan

from whatsapp.sessions import services

TAIL_AT_LEAST = 4  # digits; fewer would find half the table
SEPARATORS = re.compile(r"[\s()+.#/\-\u2010-\u2015]")


def digits_in(term: str) -> str:
    """The digits of a phone or number typed in any human form; empty for anything else."""
    digits = SEPARATORS.sub("", term)
    return digits if digits.isascii() and digits.isdecimal() else ""


def phone_is(digits: str, *, region: str = "RU") -> Q:
    """Condition on a `phone` column with a Reverse index: this number, or one that ends so.

    Ten digits and more are a whole number, national forms are read as of `region`; from four on they are the
    last ones; fewer match nothing.
    """
    if len(digits) < TAIL_AT_LEAST:
        return Q(pk__in=[])
    if len(digits) < 10:
        return _phone_ends_with(digits)
    try:
        return Q(phone__in={digits, services.normalise_phone(digits, region=region)})
    except services.InvalidPhone:
        return Q(phone=digits)


def _phone_ends_with(digits: str) -> Q:
    """A range: LIKE would want an index for one collation, and digits have the same order in all of them."""
    begin = digits[::-1]
    condition = Q(GreaterThanOrEqual(Reverse("phone"), begin))
    if rest := begin.rstrip("9"):
        condition &= Q(LessThan(Reverse("phone"), f"{rest[:-1]}{int(rest[-1]) + 1}"))
    return condition
