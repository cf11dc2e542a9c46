"""The pages on privacy and terms of use, with the provider's own details."""

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.translation import get_language
from django.views.decorators.http import require_safe

from onboarding.rendering.pages import page, render


def legal_context(language: str) -> dict[str, Any]:
    """What both pages say: who provides the service, and how long data are kept."""
    return {
        "language": language,
        "platform": settings.PLATFORM_NAME,
        "legal": {
            "name": settings.LEGAL_NAME or settings.BASE_URL,
            "tax_id": settings.LEGAL_TAX_ID,
            "address": settings.LEGAL_ADDRESS,
            "email": settings.SUPPORT_EMAIL,
            "phone": settings.SUPPORT_PHONE,
        },
        "days": {
            "messages": settings.RETENTION_MESSAGES_DAYS,
            "media": settings.RETENTION_MEDIA_DAYS,
            "bookings": settings.RETENTION_BOOKINGS_DAYS,
            "webhooks": settings.RETENTION_WEBHOOKS_DAYS,
            "owner": settings.RETENTION_OWNER_DAYS,
        },
    }


def _legal_page(name: str) -> Callable[[HttpRequest], HttpResponse]:
    @require_safe
    @page
    def view(_request: HttpRequest) -> HttpResponse:
        language = "ru" if get_language() == "ru" else "en"
        return render(f"legal/{name}.{language}.html", legal_context(language))

    return view


privacy = _legal_page("privacy")
terms = _legal_page("terms")
