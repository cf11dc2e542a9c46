"""Sessions, messages and pools on the first page of the admin."""

from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from config.shared import support
from config.shared.overview import Panel, panel_of_all, register_panel, rows_of
from whatsapp.admin.messages import CALLBACK_TONES
from whatsapp.admin.messages import STATUS_TONES as MESSAGE_TONES
from whatsapp.admin.sessions import STATUS_TONES
from whatsapp.models import Message, Pool, Session
from whatsapp.sessions.services import POOL_SILENCE

Status = Message.Status
WATCHED = (Status.QUEUED, Status.FAILED, Status.EXPIRED, Status.UNKNOWN)


def _sessions() -> Panel:
    return panel_of_all(Session, "status", STATUS_TONES)


def _messages() -> Panel:
    """What waits or went wrong: few enough to count, each by an index of its own."""
    words = [(status.value, status.label) for status in WATCHED]
    dead = [(Message.CallbackState.DEAD.value, _("not told"))]
    rows = rows_of(Message, "status", words, MESSAGE_TONES)
    rows += rows_of(Message, "callback_state", dead, CALLBACK_TONES)
    return Panel(Message._meta.verbose_name_plural or "", rows)


def _pools() -> Panel:
    alive = Pool.objects.filter(heartbeat_at__gt=timezone.now() - POOL_SILENCE).count()
    word = support.state(_("running"), "good") if alive else support.state(_("none is running"), "bad")
    return Panel(Pool._meta.verbose_name_plural or "", [(word, support.list_link(Pool, str(alive)))])


register_panel(Session, _sessions)
register_panel(Message, _messages)
register_panel(Pool, _pools)
