"""The screen “Settings” of a salon."""

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from marketplace.models import Company
from onboarding.cabinet import outage_email
from onboarding.cabinet.views import cabinet_view, render_cabinet


@require_safe
@cabinet_view
def settings(request: HttpRequest, salon: Company) -> HttpResponse:
    """The screen's page."""
    return render_cabinet(request, salon, "cabinet/settings.html", outage_email.context(salon))
