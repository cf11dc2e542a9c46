"""The screen “Replies” of a salon: conversations with clients, reading one, answering."""

import uuid
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST, require_safe
from limits import RateLimitItemPerMinute

from config.shared import rate_limits
from marketplace.inbound import answering, opt_outs
from marketplace.models import Company, OptOut
from marketplace.salons import access, sending
from onboarding.cabinet import condition, files, sessions
from onboarding.cabinet.views import (
    BY,
    LARGEST_NUMBER,
    back_to,
    cabinet_view,
    form_nonce,
    render_cabinet,
    render_part,
    row_number,
)
from onboarding.rendering import phones
from whatsapp.media import outgoing
from whatsapp.messages import conversations, story
from whatsapp.models import Conversation, Message

PAGE, MESSAGES = 30, 60
NEWEST = 20  # messages that a page which is open asks for from time to time
FRAGMENTS = RateLimitItemPerMinute(120)  # of one session: a page asks twelve times a minute at most
PROBLEMS = {
    "frozen": gettext_lazy("The application is suspended until it is paid for; answers cannot be sent."),
    "not_connected": gettext_lazy("WhatsApp is not linked; answers cannot be sent."),
    "no_phone": gettext_lazy("WhatsApp hides this client's number, so only the phone itself can answer."),
}


@require_safe
@cabinet_view
def replies(request: HttpRequest, salon: Company) -> HttpResponse:
    """The conversations, the latest first; `before` goes on."""
    before = row_number(request.GET.get("before", ""))
    context = _listed(salon, before)
    if before is None:
        context["fragment"] = reverse("cabinet-replies-new", args=[salon.salon_id])
    return render_cabinet(request, salon, "cabinet/replies.html", context)


@require_safe
@cabinet_view
def list_fragment(request: HttpRequest, salon: Company) -> HttpResponse:
    """The list alone, for the page's script."""
    return _refuse_flood(request) or render_part(
        request, salon, "cabinet/_conversations.html", _listed(salon, None)
    )


@require_safe
@cabinet_view
def conversation(request: HttpRequest, salon: Company, conversation_id: int) -> HttpResponse:
    """One conversation, the latest messages at the end; `before` shows older ones."""
    return _render(request, salon, _conversation(salon, conversation_id))


@require_safe
@cabinet_view
def conversation_fragment(request: HttpRequest, salon: Company, conversation_id: int) -> HttpResponse:
    """The newest messages, with `list` the list too, for the page's script."""
    if refused := _refuse_flood(request):
        return refused
    row = _conversation(salon, conversation_id)
    context = _messages(row, before=None, limit=NEWEST)
    if "list" in request.GET:
        context |= _listed(salon, None)
    return render_part(request, salon, "cabinet/conversation.html", context)


def _render(request: HttpRequest, salon: Company, row: Conversation, *, draft: str = "") -> HttpResponse:
    context = {
        **_listed(salon, None),
        **_messages(row, before=row_number(request.GET.get("before", "")), limit=MESSAGES),
        "fragment": reverse("cabinet-replies-conversation-new", args=[salon.salon_id, row.pk]),
        "nonce": uuid.uuid4(),
        "draft": draft,
        "longest": answering.LONGEST_ANSWER,
        "largest": outgoing.largest(),
        "largest_words": files.largest_words(),
        "caption": outgoing.LONGEST_CAPTION,
        "problem": _problem(salon, row),
        "waits": _why_it_waits(salon),
        "opted_out": _opted_out(salon, row),
    }
    return render_cabinet(request, salon, "cabinet/conversation.html", context)


@require_POST
@cabinet_view
def answer(request: HttpRequest, salon: Company, conversation_id: int) -> HttpResponse:
    """Send `text`, or `file` with it; `nonce` makes a form that is sent twice one message."""
    row = _conversation(salon, conversation_id)
    text = request.POST.get("text", "").strip()
    upload = files.uploaded(request)
    longest = outgoing.LONGEST_CAPTION if upload else answering.LONGEST_ANSWER
    if len(text) > longest or not (text or upload):
        words = _("Write an answer of at most %(longest)d characters.") % {"longest": longest}
        sessions.flash(request, words, tone="bad")
        return _render(request, salon, row, draft=text)
    problem = _problem(salon, row)
    try:
        file = files.store(salon, upload) if upload and not problem else None
        answering.answer(
            company=salon, conversation=row, text=text, name=form_nonce(request), by=BY, file=file
        )
    except files.NotTaken as error:
        sessions.flash(request, str(error), tone="bad")
        return _render(request, salon, row, draft=text)
    except sending.CannotSend as error:
        sessions.flash(request, str(PROBLEMS[error.code]), tone="bad")
    except answering.PhoneHidden:
        sessions.flash(request, str(PROBLEMS["no_phone"]), tone="bad")
    except answering.AnsweredAlready:
        # A browser that went back to the page shows its old form.
        words = _("This form was sent before with another text, and that answer goes out. To send this one "
                  "too, press “Send” again.")  # fmt: skip
        sessions.flash(request, words, tone="bad")
        return _render(request, salon, row, draft=text)
    else:
        conversations.mark_read(row, up_to=row.last_received)
    return back_to("cabinet-replies-conversation", salon, conversation_id=row.pk)


@require_POST
@cabinet_view
def read(request: HttpRequest, salon: Company, conversation_id: int) -> HttpResponse:
    """The salon has seen the messages up to `up_to`; the page's script says so, or a button does."""
    row = _conversation(salon, conversation_id)
    if up_to := row_number(request.POST.get("up_to", "")):
        conversations.mark_read(row, up_to=up_to)
    return back_to("cabinet-replies", salon)


def _listed(salon: Company, before: int | None) -> dict[str, Any]:
    """A page of the list, for `cabinet/_conversations.html`."""
    found: list[Conversation] = []
    if salon.session is not None:
        found = conversations.newest_first(session=salon.session, before=before, limit=PAGE + 1)
    return {
        "conversations": [
            (row, _name(row), _is_ours(row.last_message), story.note_words(row.last_message.note))
            for row in found[:PAGE]
        ],
        "further": found[PAGE - 1].last_message_id if len(found) > PAGE else None,
    }


def _messages(row: Conversation, *, before: int | None, limit: int) -> dict[str, Any]:
    found = conversations.messages_of(row, before=before, limit=limit + 1)
    shown = found[:limit]
    return {
        "conversation": row,
        "name": _name(row),
        "messages": [
            (each, _is_ours(each), _map(each), story.note_words(each.note))
            for each in reversed(shown)
            if not _is_access_link(each)
        ],
        "older": shown[-1].pk if len(found) > limit else None,
        "latest": shown[0].pk if shown and before is None else None,
    }


def _refuse_flood(request: HttpRequest) -> HttpResponse | None:
    """429 where a session's pages ask for what is new too often."""
    window = rate_limits.hit(FRAGMENTS, "cabinet-replies", sessions.of(request).session_key or "")
    return (
        None if window.allowed else HttpResponse(status=429, headers={"Retry-After": str(window.resets_in)})
    )


def _conversation(salon: Company, conversation_id: int) -> Conversation:
    rows = Conversation.objects.filter(session__isnull=False, session=salon.session_id)
    found = rows.filter(pk=conversation_id).first() if conversation_id <= LARGEST_NUMBER else None
    if found is None:
        raise Http404
    return found


def _problem(salon: Company, row: Conversation) -> str:
    """Why no answer can be sent; empty when one can."""
    try:
        sending.session_of(salon)
    except sending.CannotSend as error:
        return str(PROBLEMS[error.code])
    return "" if row.phone else str(PROBLEMS["no_phone"])


def _why_it_waits(salon: Company) -> str:
    """Why an answer will not go out at once; empty when it will."""
    session = salon.session
    if session is None or not session.sending_paused:
        return ""
    if condition.is_paused_by_owner(salon) and not condition.is_held_by_support(salon):
        return _("Sending is paused. An answer waits until you resume it in the settings, for a day at most.")
    return _("Support has paused sending. An answer waits until it goes on, for a day at most.")


def _opted_out(salon: Company, row: Conversation) -> str:
    """What the client has opted out of, a word of `OptOut.Scope`; empty for nothing."""
    word = opt_outs.row_of(salon, row.phone) if row.phone else None
    return str(OptOut.Scope(word.scope)) if word is not None and word.holds else ""


def _name(row: Conversation) -> str:
    return phones.formatted(row.phone) or _("A client whose number WhatsApp hides")


def _is_ours(message: Message) -> bool:
    return message.direction == Message.Direction.OUT


def _map(message: Message) -> str:
    """Where the place that the client sent is shown; empty without one."""
    place = getattr(message, "location", None) if message.note == "location" else None
    return files.map_address(place) if place else ""


def _is_access_link(message: Message) -> bool:
    """A one-time link to the salon itself, which is for who holds the phone alone."""
    return (message.external_id or "").startswith(access.LINK_MESSAGE)
