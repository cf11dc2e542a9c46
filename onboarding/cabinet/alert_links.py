"""The links in e-mails about outages: to agree to them, and to get no more.

They open without a session: the signature in the address proves who has the e-mail. Mail servers open links
to look at them, so a GET asks and a POST acts; mail programs post to the second one by themselves (RFC 8058).
"""

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from marketplace.alerts import emails, outages
from marketplace.models import OutageAlert
from onboarding.cabinet.views import cabinet_page, render_page
from onboarding.rendering import pages


@csrf_exempt  # the address itself is the proof
@require_http_methods(["GET", "HEAD", "POST"])
@cabinet_page
def confirm(request: HttpRequest) -> HttpResponse:
    """Agree to the e-mails."""
    lasts = outages.CONFIRMATION_LASTS
    alert = emails.read_link(request.GET.get("alert", ""), salt=emails.CONFIRM_SALT, max_age=lasts)
    if alert is None:
        return pages.error("alert_link_ended")
    title = _("E-mails when WhatsApp is disconnected")
    if request.method != "POST":
        return _page(request, alert, title=title, button=_("Yes, write to me"))
    outages.confirm(alert)
    return _page(
        request,
        alert,
        title=title,
        done=_("Done: we write to this address when WhatsApp is disconnected, and when it is back."),
    )


@csrf_exempt  # the address itself is the proof, and mail programs have no token
@require_http_methods(["GET", "HEAD", "POST"])
@cabinet_page
def stop(request: HttpRequest) -> HttpResponse:
    """Get no more e-mails."""
    alert = emails.read_link(request.GET.get("alert", ""), salt=emails.STOP_SALT)
    if alert is None:
        return pages.error("alert_link_ended")
    title = _("No more e-mails")
    if request.method != "POST":
        return _page(request, alert, title=title, button=_("Send me no more e-mails"))
    outages.remove(alert.company, by="e-mail")
    return _page(
        request,
        alert,
        title=title,
        done=_("Done: no more e-mails go to this address. A new one can be given in the cabinet."),
    )


def _page(
    request: HttpRequest, alert: OutageAlert, *, title: str, button: str = "", done: str = ""
) -> HttpResponse:
    context = {"title": title, "salon_name": str(alert.company), "email": alert.email}
    response = render_page(request, "cabinet/alert_link.html", {**context, "button": button, "text": done})
    response["Referrer-Policy"] = "strict-origin"  # the address holds the proof
    return response
