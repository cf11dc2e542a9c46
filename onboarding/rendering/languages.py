"""The language of one visitor, without cookies: browsers withhold those from a framed page."""

from urllib.parse import parse_qs

from django.conf import settings
from django.utils.translation import get_supported_language_variant
from django.utils.translation.trans_real import parse_accept_lang_header


def choose(*, wanted: str, accept_language: str) -> str:
    """Return a language of the settings: the wanted one, one that the browser prefers, or the first."""
    for name in [wanted, *(code for code, _weight in parse_accept_lang_header(accept_language[:500]))]:
        try:
            return get_supported_language_variant(name)
        except LookupError:
            continue
    return str(settings.LANGUAGE_CODE)


def of_query(query: bytes) -> str:
    """The `lang` of a raw query string; empty without one."""
    return parse_qs(query.decode("latin-1")).get("lang", [""])[0]
