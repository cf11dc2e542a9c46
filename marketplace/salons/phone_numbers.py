"""Clients' phone numbers as people write them, and the country that a salon stands in. Pure functions."""

import re
from functools import lru_cache

import phonenumbers
from django.utils.translation import gettext as _

from marketplace.models import Company
from whatsapp.sessions.services import InvalidPhone, normalise_phone

DEFAULT_REGION = "RU"
DEFAULT_CURRENCY = "RUB"
# Letters are refused: the library would turn them into digits, as on an old telephone, and so into the
# number of somebody else.
WRITTEN = re.compile(r"(?:tel:)?[+＋]?[\d\s().\-/‐-―]+")
SHORTEST = 8  # digits with the country code
# How nearly all numbers arrive: a mobile of Russia, which the library would read the same, 100 times slower.
RUSSIAN_MOBILE = re.compile(r"(?:\+7|[78])(9\d{9})", re.ASCII)

# Where YClients and Altegio have salons; a salon's own phone number goes before its clock.
REGION_OF_ZONE = {
    "Asia/Almaty": "KZ",
    "Asia/Aqtau": "KZ",
    "Asia/Aqtobe": "KZ",
    "Asia/Ashgabat": "TM",
    "Asia/Baku": "AZ",
    "Asia/Bishkek": "KG",
    "Asia/Dubai": "AE",
    "Asia/Dushanbe": "TJ",
    "Asia/Jerusalem": "IL",
    "Asia/Oral": "KZ",
    "Asia/Qyzylorda": "KZ",
    "Asia/Samarkand": "UZ",
    "Asia/Tashkent": "UZ",
    "Asia/Tbilisi": "GE",
    "Asia/Yerevan": "AM",
    "Europe/Belgrade": "RS",
    "Europe/Berlin": "DE",
    "Europe/Budapest": "HU",
    "Europe/Chisinau": "MD",
    "Europe/Istanbul": "TR",
    "Europe/Kiev": "UA",
    "Europe/Kyiv": "UA",
    "Europe/Minsk": "BY",
    "Europe/Riga": "LV",
    "Europe/Tallinn": "EE",
    "Europe/Vilnius": "LT",
    "Europe/Warsaw": "PL",
}
CURRENCY_OF_REGION = {
    "AE": "AED",
    "AM": "AMD",
    "AZ": "AZN",
    "BY": "BYN",
    "DE": "EUR",
    "EE": "EUR",
    "GE": "GEL",
    "HU": "HUF",
    "IL": "ILS",
    "KG": "KGS",
    "KZ": "KZT",
    "LT": "EUR",
    "LV": "EUR",
    "MD": "MDL",
    "PL": "PLN",
    "RS": "RSD",
    "TJ": "TJS",
    "TM": "TMT",
    "TR": "TRY",
    "UA": "UAH",
    "UZ": "UZS",
}


class NotAPhone(Exception):
    """The text is no phone number; the exception's text says so in words for the sender."""


@lru_cache(maxsize=1024)
def region_of(*, phone: str, timezone_name: str) -> str:
    """Return the two-letter country of a salon by its own phone, else by its clock, else Russia."""
    try:
        number = phonenumbers.parse(f"+{normalise_phone(phone)}") if phone else None
    except (InvalidPhone, phonenumbers.NumberParseException):
        number = None
    said = phonenumbers.region_code_for_number(number) if number else None
    return said or REGION_OF_ZONE.get(timezone_name, DEFAULT_REGION)


def region_of_salon(company: Company) -> str:
    """Return the two-letter country in which a salon's people write numbers without a country code."""
    return region_of(phone=company.phone, timezone_name=company.timezone_name)


def currency_of(region: str) -> str:
    """Return the ISO 4217 code of a country's money."""
    return CURRENCY_OF_REGION.get(region, DEFAULT_CURRENCY)


@lru_cache(maxsize=8192)
def digits_of(written: str, *, region: str) -> str:
    """Return the digits with the country code; a national form is read as of `region`. Raises NotAPhone."""
    words = _("The field phone is not a phone number.")
    text = written.strip()
    if region in ("RU", "KZ") and (mobile := RUSSIAN_MOBILE.fullmatch(text)):
        return f"7{mobile[1]}"
    if not WRITTEN.fullmatch(text):
        raise NotAPhone(words)
    text = text.removeprefix("tel:").strip()
    if text.startswith("00"):
        text = f"+{text[2:]}"  # the way out of most countries; what libphonenumber knows for Russia is 810
    try:
        digits = normalise_phone(text, region=region)
    except InvalidPhone as error:
        raise NotAPhone(words) from error
    if len(digits) < SHORTEST:
        raise NotAPhone(words)
    return digits


def digits_for_salon(written: str, company: Company) -> str:
    """As `digits_of`, read as the people of this salon write. Raises NotAPhone."""
    return digits_of(written, region=region_of_salon(company))
