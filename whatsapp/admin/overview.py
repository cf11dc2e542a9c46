"""Sessions, messages, pools and their engine hosts on the first page of the admin."""

from collections.abc import Iterator

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from config.shared import support
from config.shared.overview import Bar, Panel, bars_of, panel_of_all, register_panel
from whatsapp.admin.media import TONES as FILE_TONES
from whatsapp.admin.messages import CALLBACK_TONES
from whatsapp.admin.messages import STATUS_TONES as MESSAGE_TONES
from whatsapp.admin.pools import MIB
from whatsapp.admin.sessions import STATUS_TONES
from whatsapp.models import MediaFile, Message, Pool, Session
from whatsapp.sessions.services import POOL_SILENCE

Status, State = Message.Status, MediaFile.State
WATCHED = (Status.QUEUED, Status.FAILED, Status.EXPIRED, Status.UNKNOWN)
MOST_POOLS = 10


def _sessions() -> Panel:
    return panel_of_all(Session, "status", STATUS_TONES)


def _messages() -> Panel:
    """What waits or went wrong: few enough to count, each by an index of its own."""
    words = [(status.value, status.label) for status in WATCHED]
    dead = [(Message.CallbackState.DEAD.value, gettext_lazy("not told"))]
    bars = bars_of(Message, "status", words, MESSAGE_TONES)
    bars += bars_of(Message, "callback_state", dead, CALLBACK_TONES)
    return Panel(gettext_lazy("messages: what waits or went wrong"), bars)


def _files() -> Panel:
    """Files of clients that wait or were given up."""
    words = [(state.value, state.label) for state in (State.WAITING, State.FAILED, State.DEAD)]
    return Panel(
        gettext_lazy("files of clients: what waits or went wrong"),
        bars_of(MediaFile, "state", words, FILE_TONES),
    )


def _pools() -> Panel:
    """The living pools and their engine hosts, by memory."""
    alive = Pool.objects.filter(heartbeat_at__gt=timezone.now() - POOL_SILENCE)
    number = alive.count()
    word = support.state(_("running"), "good") if number else support.state(_("none is running"), "bad")
    bars = [Bar(word, support.list_link(Pool, str(number), alive="yes"))]
    for pool in alive.order_by("-sessions", "name")[:MOST_POOLS]:
        bars += _of_pool(pool)
    return Panel(gettext_lazy("pools and engine hosts: memory"), bars)


def _of_pool(pool: Pool) -> Iterator[Bar]:
    memory = pool.own_rss_bytes + pool.rss_bytes
    word = pool.name
    places = _("%(held)d of %(capacity)d sessions") % {"held": pool.sessions, "capacity": pool.capacity}
    yield Bar(word, support.link(pool, _mib(memory)), memory, "busy", places)
    for host in pool.engine_hosts:
        word = f"{_('host')} {host['id']}"
        remark = _("sessions: %(number)d") % {"number": host["sessions"]}
        yield Bar(word, support.link(pool, _mib(host["rss_bytes"])), host["rss_bytes"], "off", remark)


def _mib(size: int) -> str:
    return f"{size / MIB:.0f} MiB"


register_panel(Session, _sessions)
register_panel(Message, _messages)
register_panel(MediaFile, _files)
register_panel(Pool, _pools)
