"""Phone numbers as pages show them: a typed one in full, a linked one masked."""

import phonenumbers


def formatted(digits: str) -> str:
    """`79991234567` → `+7 999 123-45-67`; empty stays empty."""
    if not digits:
        return ""
    try:
        number = phonenumbers.parse(f"+{digits}", None)
    except phonenumbers.NumberParseException:
        return f"+{digits}"
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.INTERNATIONAL)


def example(region: str) -> str:
    """A mobile number of the country as an input's example; of Russia when the country is not known."""
    kind = phonenumbers.PhoneNumberType.MOBILE
    for country in (region, "RU"):
        if number := phonenumbers.example_number_for_type(country, kind):
            return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.INTERNATIONAL)
    return ""


def masked(text: str) -> str:
    """`+7 999 123-45-67` → `+7 999 ***-**-67`: its owner knows it again, nobody else learns it."""
    total = sum(letter.isdigit() for letter in text)
    seen, kept_first = 0, min(4, max(1, total - 6))
    shown = []
    for letter in text:
        seen += letter.isdigit()
        hidden = letter.isdigit() and kept_first < seen <= total - 2
        shown.append("*" if hidden else letter)
    return "".join(shown)
