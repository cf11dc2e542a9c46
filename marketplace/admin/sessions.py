"""Sessions in the admin, with the salons that use them: what the WhatsApp app cannot know."""

from typing import Any

from django.contrib import admin
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from config.shared import support
from config.shared.clocks import clock_time
from config.shared.masking import mask_phone
from marketplace.models import Company
from marketplace.salons import clock
from whatsapp.admin.sessions import SessionAdmin
from whatsapp.models import Session

COMPANY_SECRETS = Company.SECRETS


def salon_name(company: Company) -> str:
    return f"{company.title} ({company.salon_id})" if company.title else str(company.salon_id)


class SalonSessionAdmin(SessionAdmin):
    """Sessions with the salons that use them."""

    list_display = ["number", "salons", *SessionAdmin.list_display[1:]]
    search_fields = [*SessionAdmin.search_fields, "=companies__salon_id", "companies__title"]
    fieldsets = [
        (None, {"fields": ["salons", *SessionAdmin.fieldsets[0][1]["fields"]]}),
        *SessionAdmin.fieldsets[1:],
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        deferred = Company.objects.defer(*COMPANY_SECRETS)
        return super().get_queryset(request).prefetch_related(Prefetch("companies", deferred))

    @admin.display(description=_("banned until"))
    def banned(self, session: Session) -> str:
        """By the clock of the salon, to whom the end is told; of several on one number, the first one's."""
        salon = next(iter(session.companies.all()), None)
        if session.banned_until is None or salon is None:
            return support.moment(session.banned_until)
        ends = clock_time(session.banned_until, clock.zone_of(salon))
        return format_html("{}<br>{}", ends, support.moment(session.banned_until))

    @admin.display(description=_("salons"))
    def salons(self, session: Session) -> str:
        links = [support.link(company, salon_name(company)) for company in session.companies.all()]
        return support.joined(links) or support.NOTHING

    def describe(self, row: Session) -> str:
        named = ", ".join(salon_name(company) for company in row.companies.all())
        salon = named or gettext("no salon")
        return f"{salon}: {mask_phone(row.phone) or str(row.pk)[:8]}"
