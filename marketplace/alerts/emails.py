"""The e-mails of an outage alert, in the salon's language, and the links in them."""

from datetime import timedelta

from django.conf import settings
from django.core import signing
from django.core.mail import EmailMessage
from django.urls import reverse
from django.utils import translation
from django.utils.http import urlencode
from django.utils.translation import gettext as _

from marketplace.models import Company, OutageAlert

CONFIRM_SALT, STOP_SALT = "alerts.confirm", "alerts.stop"


def is_set_up() -> bool:
    """There is a server to send e-mails by."""
    return bool(settings.EMAIL_HOST)


def send_confirmation(alert: OutageAlert, company: Company) -> None:
    """Ask the owner of the address whether he wants the e-mails. Raises OSError."""
    with translation.override(alert.language):
        text = _(
            "Somebody gave this address in the cabinet of “%(salon)s”, so that we write here when the "
            "salon's WhatsApp is disconnected.\n\nTo agree, open this link within three days:\n%(link)s\n\n"
            "If that was not you, do nothing: no other e-mail will come."
        )
        subject = _("Confirm this address for “%(salon)s”")
        _send(alert, company, subject, text, link=_link("alert-confirm", CONFIRM_SALT, alert))


def send_outage(alert: OutageAlert, company: Company) -> None:
    """Say that the salon's WhatsApp is disconnected, and where it is mended. Raises OSError."""
    with translation.override(alert.language):
        text = _(
            "WhatsApp of “%(salon)s” is disconnected: clients get no confirmations and reminders from the "
            "salon's number now. Messages wait and go out when it is back, those that are late are dropped."
            "\n\nWhat is wrong and how to connect it again is in the cabinet:\n%(link)s"
        )
        subject = _("WhatsApp of “%(salon)s” is disconnected")
        _send(alert, company, subject, text, link=_cabinet(company))


def send_recovery(alert: OutageAlert, company: Company) -> None:
    """Say that the salon's WhatsApp is connected again. Raises OSError."""
    with translation.override(alert.language):
        text = _("WhatsApp of “%(salon)s” is connected again, and messages go out.\n\nThe cabinet:\n%(link)s")
        subject = _("WhatsApp of “%(salon)s” is back")
        _send(alert, company, subject, text, link=_cabinet(company))


def read_link(text: str, *, salt: str, max_age: timedelta | None = None) -> OutageAlert | None:
    """The alert that a link was made for; None when it is forged, too old, or the address was changed."""
    try:
        number, email = signing.loads(text[:1000], salt=salt, max_age=max_age)
    except (signing.BadSignature, ValueError, TypeError):
        return None
    return OutageAlert.objects.select_related("company").filter(pk=number, email=email).first()


def _send(alert: OutageAlert, company: Company, subject: str, text: str, *, link: str) -> None:
    words = {"salon": " ".join(str(company).split()), "link": link}
    stop = _link("alert-stop", STOP_SALT, alert)
    footer = _("To get no more of these e-mails: %(stop)s") % {"stop": stop}
    EmailMessage(
        subject % words,
        f"{text % words}\n\n--\n{footer}\n",
        to=[alert.email],
        # RFC 8058: mail programs offer a button that posts there.
        headers={"List-Unsubscribe": f"<{stop}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"},
    ).send()


def _link(name: str, salt: str, alert: OutageAlert) -> str:
    signed = signing.dumps([alert.pk, alert.email], salt=salt)
    return f"{settings.BASE_URL}{reverse(name)}?{urlencode({'alert': signed})}"


def _cabinet(company: Company) -> str:
    return f"{settings.BASE_URL}{reverse('cabinet-home', args=[company.salon_id])}"
