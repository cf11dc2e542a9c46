"""Whether a salon's WhatsApp works, in words, and what its owner can do about it."""

from dataclasses import dataclass

from django.utils.translation import gettext as _

from marketplace.models import Company
from marketplace.salons import clock
from onboarding.linking import snapshots, words
from whatsapp.models import Session
from whatsapp.sessions import services
from whatsapp.sessions.services import Snapshot

Status = Company.Status


@dataclass(frozen=True, slots=True)
class Condition:
    """`tone` is `good`, `busy` or `bad`; `action` is `relink`, `pay`, `resume`, `wait` or empty."""

    tone: str
    title: str
    text: str
    action: str = ""


def describe(salon: Company, *, pool_running: bool) -> Condition:
    """What is so now, the most serious thing first; reads rows of the salon and its number alone."""
    session = salon.session
    if salon.status == Status.FROZEN:
        text = words.of_activation("waiting", company_status=salon.status, reason="")
        return Condition("bad", _("Suspended until it is paid for"), text, "pay")
    if session is None:
        return Condition(
            "bad", _("WhatsApp is not linked"), _("Open the application in YClients to link it.")
        )
    shown = services.snapshot(session=session)
    if session.wanted == Session.Wanted.UNLINKED:
        return Condition("busy", _("WhatsApp is being unlinked"), _("It takes a few seconds."), "wait")
    if not shown.linked:
        return Condition("bad", _("WhatsApp is not linked"), _why_not_linked(shown), "relink")
    if not shown.connected:
        return _off_line(salon, shown, pool_running=pool_running)
    if salon.status != Status.ACTIVE:
        state = snapshots.activation_state(salon.status, connected=True)
        text = words.of_activation(state, company_status=salon.status, reason=salon.activation_error)
        tone = "bad" if state == "failed" else "busy"
        return Condition(tone, _("YClients does not use this WhatsApp yet"), text, "relink")
    return _on_line(salon, session, shown, pool_running=pool_running)


def is_held_by_support(salon: Company) -> bool:
    """Support holds messages back, here or at another salon on the number; its owner cannot end that."""
    session = salon.session
    if session is None or not session.sending_paused:
        return False
    return session.companies.filter(held_at__isnull=False).exists()


def is_paused_by_owner(salon: Company) -> bool:
    """The owner holds messages back, here or at another salon on the number."""
    session = salon.session
    if session is None or not session.sending_paused:
        return False
    return session.companies.filter(paused_at__isnull=False).exists()


def _why_not_linked(shown: Snapshot) -> str:
    return words.of_lost_link(shown) or _("No phone is linked, so nothing is sent. Link it with a code.")


def _off_line(salon: Company, shown: Snapshot, *, pool_running: bool) -> Condition:
    still = shown.status in services.STANDSTILL and not shown.stopped
    passing = shown.status in (Session.Status.RECONNECTING, Session.Status.CONNECTING)
    return Condition(
        "busy" if passing else "bad",
        _("WhatsApp is not connected"),
        words.of_session(shown, zone=clock.zone_of(salon), pool_running=pool_running),
        "relink" if still else "",
    )


def _on_line(salon: Company, session: Session, shown: Snapshot, *, pool_running: bool) -> Condition:
    if is_paused_by_owner(salon) and not is_held_by_support(salon):
        text = _("Messages wait until you resume sending. What clients write still arrives.")
        return Condition("bad", _("Sending is paused"), text, "resume")
    if session.sending_paused:
        return Condition("bad", _("Sending is paused"), _("Write to support to let it go on."))
    if not shown.proven:
        return Condition(
            "busy",
            _("WhatsApp works"),
            words.of_session(shown, zone=clock.zone_of(salon), pool_running=pool_running),
        )
    text = words.of_activation("active", company_status=salon.status, reason="")
    return Condition("good", _("WhatsApp works"), text)
