"""How a person reaches support, as links that a tap on a phone opens."""

import re
from dataclasses import dataclass
from urllib.parse import quote

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.utils.http import urlencode
from django.utils.translation import gettext as _


@dataclass(frozen=True, slots=True)
class ContactLink:
    """One way to reach support: what is read, and where a tap leads (`tel:`, `mailto:` or a web address)."""

    text: str
    url: str

    @property
    def is_web(self) -> bool:
        """A web page, which opens outside a frame; phone and mail open programs."""
        return self.url.startswith("http")


def links(subject: str = "") -> list[ContactLink]:
    """Return the ways that SUPPORT_PHONE, SUPPORT_EMAIL and SUPPORT_URL name; an unusable one gives none.

    `subject` is the subject of an e-mail, such as a request's number.
    """
    found = []
    phone, email, url = settings.SUPPORT_PHONE, settings.SUPPORT_EMAIL, settings.SUPPORT_URL
    if digits := re.sub(r"\D", "", phone):
        plus = "+" if phone.strip().startswith("+") else ""
        found.append(ContactLink(phone.strip(), f"tel:{plus}{digits}"))
    if _is_email(email):
        query = f"?{urlencode({'subject': subject}).replace('+', '%20')}" if subject else ""
        found.append(ContactLink(email, f"mailto:{quote(email, safe='@')}{query}"))
    if url.startswith(("https://", "http://")):
        found.append(ContactLink(_("Support online"), url))
    return found


def _is_email(text: str) -> bool:
    try:
        validate_email(text)
    except ValidationError:
        return False
    return True
