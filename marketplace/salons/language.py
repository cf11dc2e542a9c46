"""The language in which a salon speaks to its clients and we to the salon."""

from marketplace.models import Company
from marketplace.models.bookings import BookingSettings
from marketplace.salons import phone_numbers

# Where salons speak Russian with their clients as a rule; everywhere else it is English.
RUSSIAN_SPEAKING = frozenset({"AM", "AZ", "BY", "GE", "KG", "KZ", "MD", "RU", "TJ", "TM", "UA", "UZ"})


def language_of(company: Company) -> str:
    """Return `ru` or `en`: what support has set for the salon's bookings, else by the country of its phone
    number, else of its clock."""
    chosen = BookingSettings.objects.filter(company=company).values_list("language", flat=True).first()
    if chosen:
        return chosen
    region = phone_numbers.region_of(phone=company.phone, timezone_name=company.timezone_name)
    return "ru" if region in RUSSIAN_SPEAKING else "en"
