"""The language in which a salon speaks to its clients and we to the salon."""

from marketplace.models import Company
from marketplace.models.bookings import BookingSettings
from marketplace.salons import phone_numbers

# Where salons speak Russian with their clients as a rule; everywhere else it is English.
RUSSIAN_SPEAKING = frozenset({"AM", "AZ", "BY", "GE", "KG", "KZ", "MD", "RU", "TJ", "TM", "UA", "UZ"})


def language_of(company: Company) -> str:
    """Return `ru` or `en`: what is set for the salon's booking messages, else `default_language`."""
    chosen = BookingSettings.objects.filter(company=company).values_list("language", flat=True).first()
    return chosen or default_language(company)


def default_language(company: Company) -> str:
    """Return `ru` or `en` by the country of the salon's phone number, else of its clock."""
    region = phone_numbers.region_of_salon(company)
    return "ru" if region in RUSSIAN_SPEAKING else "en"
