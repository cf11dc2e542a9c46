"""Which messages about bookings a salon sends, and in which words, changed as a whole."""

import hashlib
from collections.abc import Mapping

from django.db import transaction

from marketplace.bookings import reminders, texts
from marketplace.models import Company
from marketplace.models.booking_kinds import Kind
from marketplace.models.bookings import BookingSettings, MessageTemplate


def is_default(text: str, *, kind: str) -> bool:
    """Whether these are the default words of a language, line ends and spaces around them aside."""
    return tidy(text) in {tidy(words[kind]) for words in texts.DEFAULTS.values()}


def tidy(text: str) -> str:
    """The text with plain line ends, without spaces around it; a browser posts CRLF."""
    return "\n".join(text.strip().splitlines())


class ChangedMeanwhile(Exception):
    """Somebody else has changed the settings or the words since the form was shown."""


def version(settings: BookingSettings) -> str:
    """Names what a salon's settings and words are now, for a form that is to replace nothing unseen."""
    names = sorted(field.attname for field in settings._meta.concrete_fields)
    columns = [getattr(settings, name) for name in names if name not in ("id", "updated_at")]
    rows = MessageTemplate.objects.filter(company=settings.company).order_by("kind")
    kept = [*map(str, columns), *map(str, rows.values_list("kind", "text"))]
    return hashlib.sha256("\n".join(kept).encode()).hexdigest()[:16]


def change(*, settings: BookingSettings, words: Mapping[Kind, str]) -> int:
    """Store a salon's settings and words, and plan its reminders anew; return how many are planned.

    The default words of any language are not stored as the salon's own, so they follow its language.
    """
    with transaction.atomic():
        # Locked as by webhooks: none of those is applied by the old settings after the new plan.
        company = Company.objects.select_for_update(of=("self",), no_key=True).get(pk=settings.company.pk)
        settings.save()
        for kind, text in words.items():
            own = "" if is_default(text, kind=kind) else tidy(text)
            row = MessageTemplate.objects.filter(company=company, kind=kind).first()
            before = row.text if row else ""
            if own != before:
                MessageTemplate.objects.update_or_create(
                    company=company, kind=kind, defaults={"text": own, "previous_text": before}
                )
        return reminders.plan_all(company=company)
