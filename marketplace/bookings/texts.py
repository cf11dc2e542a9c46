"""The messages' words where a salon has none of its own, and how dates are said. Pure."""

from datetime import datetime

from marketplace.models.booking_kinds import Kind, Language

DEFAULTS: dict[str, dict[str, str]] = {
    Language.RUSSIAN: {
        Kind.CREATED: (
            "Здравствуйте, {client}!\n"
            "Вы записаны в «{salon}»: {date}, {time}.\n"
            "Услуги: {services}\n"
            "Мастер: {staff}\n"
            "Адрес: {address}\n"
            "Телефон: {phone}"
        ),
        Kind.MOVED: (
            "Здравствуйте, {client}!\n"
            "Ваша запись в «{salon}» изменилась. Теперь она такая: {date}, {time}.\n"
            "Услуги: {services}\n"
            "Мастер: {staff}\n"
            "Адрес: {address}\n"
            "Телефон: {phone}"
        ),
        Kind.CANCELLED: (
            "Здравствуйте, {client}!\n"
            "Ваша запись в «{salon}» на {date}, {time} отменена.\n"
            "Записаться снова можно по телефону: {phone}"
        ),
        Kind.REMINDER: (
            "Здравствуйте, {client}!\n"
            "Напоминаем о визите в «{salon}»: {date}, {time}.\n"
            "Услуги: {services}\n"
            "Мастер: {staff}\n"
            "Адрес: {address}\n"
            "Если планы изменились, позвоните нам: {phone}"
        ),
    },
    Language.ENGLISH: {
        Kind.CREATED: (
            "Hello {client}!\n"
            "You are booked at {salon}: {date}, {time}.\n"
            "Services: {services}\n"
            "With: {staff}\n"
            "Address: {address}\n"
            "Phone: {phone}"
        ),
        Kind.MOVED: (
            "Hello {client}!\n"
            "Your booking at {salon} has changed. It is now: {date}, {time}.\n"
            "Services: {services}\n"
            "With: {staff}\n"
            "Address: {address}\n"
            "Phone: {phone}"
        ),
        Kind.CANCELLED: (
            "Hello {client}!\n"
            "Your booking at {salon} on {date}, {time} has been cancelled.\n"
            "To book again, call us: {phone}"
        ),
        Kind.REMINDER: (
            "Hello {client}!\n"
            "A reminder of your visit to {salon}: {date}, {time}.\n"
            "Services: {services}\n"
            "With: {staff}\n"
            "Address: {address}\n"
            "If your plans have changed, call us: {phone}"
        ),
    },
}
NO_TITLE: dict[str, str] = {Language.RUSSIAN: "Салон красоты", Language.ENGLISH: "our salon"}

MONTHS: dict[str, tuple[str, ...]] = {
    Language.RUSSIAN: (
        "января", "февраля", "марта", "апреля", "мая", "июня",
        "июля", "августа", "сентября", "октября", "ноября", "декабря",
    ),
    Language.ENGLISH: (
        "January", "February", "March", "April", "May", "June",
        "July", "August", "September", "October", "November", "December",
    ),
}  # fmt: skip
DAYS: dict[str, tuple[str, ...]] = {
    Language.RUSSIAN: (
        "понедельник", "вторник", "среда", "четверг", "пятница", "суббота", "воскресенье",
    ),
    Language.ENGLISH: (
        "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday",
    ),
}  # fmt: skip


def date_words(local: datetime, *, language: str, this_year: int) -> str:
    """`13 июля (воскресенье)`, `Sunday, 13 July`; with the year when it is not this one."""
    day, month = DAYS[language][local.weekday()], MONTHS[language][local.month - 1]
    year = "" if local.year == this_year else f" {local.year}"
    if language == Language.ENGLISH:
        return f"{day}, {local.day} {month}{year}"
    return f"{local.day} {month}{year} ({day})"
