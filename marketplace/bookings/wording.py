"""What a message about a booking says: the salon's words or the defaults, by the salon's clock."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import phonenumbers
import structlog

from marketplace.bookings import texts
from marketplace.bookings.visits import Visit
from marketplace.models import Company, rendering
from marketplace.models.booking_kinds import Language
from marketplace.models.bookings import BookingSettings, MessageTemplate
from marketplace.salons.language import default_language
from marketplace.salons.phone_numbers import NotAPhone, digits_for_salon
from whatsapp.media.outgoing import LONGEST_CAPTION
from whatsapp.messages import limits
from whatsapp.models import MediaFile

log = structlog.get_logger("bookings")


def clock_of(company: Company) -> ZoneInfo:
    """The salon's time zone; Moscow's when it is not known."""
    return limits.zone_of(company.timezone_name)


def settings_of(company: Company) -> BookingSettings:
    """The salon's settings; without a row everything is off."""
    kept = BookingSettings.objects.filter(company=company).first()
    return kept or BookingSettings(company=company, language=default_language(company))


def template_of(company: Company, *, kind: str, language: str) -> str:
    """The salon's own words for this kind, else the default ones."""
    own = MessageTemplate.objects.filter(company=company, kind=kind).values_list("text", flat=True).first()
    return own or texts.DEFAULTS[language][kind]


def media_of(company: Company, *, kind: str, caption: str) -> int | None:
    """The file that goes with this text; none with words that are too long for a caption."""
    kept = MediaFile.objects.filter(templates__company=company, templates__kind=kind, state="kept")
    return kept.values_list("pk", flat=True).first() if len(caption) <= LONGEST_CAPTION else None


def text_of(company: Company, *, kind: str, visit: Visit, language: str, now: datetime) -> str:
    """The whole text of one message."""
    values = values_of(company, visit=visit, language=language, now=now)
    template = template_of(company, kind=kind, language=language)
    try:
        # Words of which nothing is left without the values that are missing are not sent as nothing.
        return rendering.render(template, values) or rendering.render(texts.DEFAULTS[language][kind], values)
    except rendering.BadTemplate as error:
        # Stored before the rules were what they are: the client gets his message all the same.
        log.warning("template not usable", salon_id=company.salon_id, kind=kind, cause=str(error))
        return rendering.render(texts.DEFAULTS[language][kind], values)


def values_of(company: Company, *, visit: Visit, language: str, now: datetime) -> Mapping[str, str]:
    """What the names in a template stand for."""
    # The visit's own offset is the salon's, where we do not know the zone.
    clock = clock_of(company) if company.timezone_name else None
    local = visit.starts_at.astimezone(clock) if clock else visit.starts_at
    year = now.astimezone(local.tzinfo).year
    return {
        "client": visit.client,
        "date": texts.date_words(local, language=language, this_year=year),
        "time": f"{local:%H:%M}",
        "services": ", ".join(title for _number, title in visit.services or () if title),
        "staff": visit.staff[1] if visit.staff else "",
        "salon": rendering.one_line(company.title) or texts.NO_TITLE[language],
        "address": rendering.one_line(company.address),
        "phone": _readable(company),
    }


def sample(company: Company, *, language: str, now: datetime) -> Visit:
    """A visit tomorrow, for previews and tests."""
    russian = language == Language.RUSSIAN
    tomorrow = now.astimezone(clock_of(company)) + timedelta(days=1)  # by the wall clock
    return Visit(
        starts_at=tomorrow.replace(hour=12, minute=30, second=0, microsecond=0),
        services=((1, "Стрижка" if russian else "Haircut"), (2, "Укладка" if russian else "Styling")),
        staff=(1, "Анна" if russian else "Anna"),
        client_id=1,
        client="Иван" if russian else "Ivan",
    )


def sample_values(company: Company, *, language: str, now: datetime) -> Mapping[str, str]:
    """What the names in a template stand for in previews."""
    return values_of(company, visit=sample(company, language=language, now=now), language=language, now=now)


def _readable(company: Company) -> str:
    """`+7 495 123-45-67`; what is no number stays as the salon wrote it."""
    try:
        number = phonenumbers.parse(f"+{digits_for_salon(company.phone, company)}")
    except (NotAPhone, phonenumbers.NumberParseException):
        return rendering.one_line(company.phone)
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.INTERNATIONAL)
