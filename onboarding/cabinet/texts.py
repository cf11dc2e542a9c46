"""The screen “Texts” of a salon: which messages about bookings go out, in which words, and when."""

import hashlib
import uuid
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from marketplace.bookings import messages, settings_changes, texts, wording
from marketplace.bookings import times as text_times
from marketplace.models import Company, MarketplaceEvent, rendering
from marketplace.models.booking_kinds import Kind, Language
from marketplace.models.bookings import MessageTemplate, check_template
from onboarding.cabinet import files, sessions
from onboarding.cabinet.views import BY, back_to, cabinet_view, render_cabinet
from onboarding.rendering import phones
from whatsapp.media import outgoing

LONGEST_IN_EVENT = 500  # characters of a text that support sees in the history
Samples = tuple[str, Mapping[str, str]]  # the language, and what the names stand for
NAMES = {
    "client": gettext_lazy("client's name"),
    "date": gettext_lazy("date"),
    "time": gettext_lazy("time"),
    "services": gettext_lazy("services"),
    "staff": gettext_lazy("specialist"),
    "salon": gettext_lazy("salon's name"),
    "address": gettext_lazy("address"),
    "phone": gettext_lazy("salon's phone"),
}


class ChangedMeanwhile(Exception):
    """Somebody else has changed the words since the page was shown."""


@require_safe
@cabinet_view
def overview(request: HttpRequest, salon: Company) -> HttpResponse:
    """Each message with its switch and a preview, and the times of reminders."""
    return _overview(request, salon)


@require_POST
@cabinet_view
def switch(request: HttpRequest, salon: Company, kind: str) -> HttpResponse:
    """Send this message from now on (`on` is `1`), or do not."""
    known, on = _kind(kind), request.POST.get("on") == "1"
    _store(salon, values={f"{known}_on": on})
    sessions.flash(request, _("Switched on.") if on else _("Switched off."))
    return back_to("cabinet-texts", salon)


@require_POST
@cabinet_view
def times(request: HttpRequest, salon: Company) -> HttpResponse:
    """Set the hours of the reminders, the quiet hours, and the language of our words."""
    try:
        chosen = text_times.read(request.POST)
    except ValidationError as error:
        typed = {name: request.POST.get(name, "")[: text_times.LONGEST_FIELD] for name in text_times.FIELDS}
        return _overview(request, salon, typed=typed, problem=" ".join(error.messages))
    language = request.POST.get("language", "")
    values = {"language": language} if language in Language.values else {}
    planned = _store(salon, values=chosen.columns() | values)
    sessions.flash(request, _("Kept. Reminders planned: %(planned)d.") % {"planned": planned})
    return back_to("cabinet-texts", salon)


@require_http_methods(["GET", "HEAD", "POST"])
@cabinet_view
def edit(request: HttpRequest, salon: Company, kind: str) -> HttpResponse:
    """The words of one message. POST: `action` is `keep`, `reset` or `undo`."""
    known = _kind(kind)
    if request.method != "POST":
        return _editor(request, salon, known, text=_words(salon, known))
    action, text = request.POST.get("action", "keep"), request.POST.get("text", "")
    if action == "keep" and (problem := _problem(text)):
        return _editor(request, salon, known, text=text, problem=problem, status=400)
    own = MessageTemplate.objects.filter(company=salon, kind=known).first()
    before = own.previous_text if own else ""
    words = {"reset": "", "undo": before}.get(action, text)
    try:
        _store(salon, words={known: words}, version=request.POST.get("version", ""))
    except ChangedMeanwhile:
        changed = _("Somebody changed this text meanwhile. Yours is below: keep it once more to replace it.")
        return _editor(request, salon, known, text=text, problem=changed, status=409)
    sessions.flash(request, _("Kept. The next messages have these words."))
    return back_to("cabinet-texts-edit", salon, kind=known.value)


@require_POST
@cabinet_view
def preview(request: HttpRequest, salon: Company, kind: str) -> HttpResponse:
    """`{"text"}` as a client would read the posted text, or `{"problem"}`."""
    text = request.POST.get("text", "")
    if problem := _problem(text):
        return JsonResponse({"problem": problem})
    return JsonResponse({"text": _preview(salon, _kind(kind), text)})


def _editor(
    request: HttpRequest, salon: Company, kind: Kind, *, text: str, problem: str = "", status: int = 200
) -> HttpResponse:
    own = MessageTemplate.objects.filter(company=salon, kind=kind).first()
    kept = _words(salon, kind)
    context: dict[str, Any] = {
        "kind": kind,
        "text": text,
        "preview": "" if _problem(text) else _preview(salon, kind, text),
        "problem": problem,
        "version": _version(kept),
        "longest": rendering.LONGEST_TEMPLATE,
        "names": [(f"{{{name}}}", title) for name, title in NAMES.items()],
        "is_own": bool(own and own.text),
        "has_previous": bool(own and (own.previous_text or own.text)),
        "phone_example": phones.formatted(salon.session.phone) if salon.session else "",
        "nonce": uuid.uuid4(),
        "file": own.media if own and own.media and own.media.state == "kept" else None,
        "largest_words": files.largest_words(),
        "caption": outgoing.LONGEST_CAPTION,
    }
    return render_cabinet(request, salon, "cabinet/text_editor.html", context, status=status)


def _overview(
    request: HttpRequest, salon: Company, *, typed: dict[str, str] | None = None, problem: str = ""
) -> HttpResponse:
    """`typed`: the fields of the times as they were refused."""
    settings = wording.settings_of(salon)
    samples = _samples(salon, settings.language)
    words = {kind: wording.template_of(salon, kind=kind, language=settings.language) for kind in Kind}
    context = {
        "kinds": [(kind, settings.sends(kind), _filled(words[kind], kind, samples)) for kind in Kind],
        "is_served": messages.is_served(salon),
        "problem": problem,
        "languages": Language.choices,
        "language": settings.language,
        **(typed or text_times.shown(settings)),
    }
    return render_cabinet(request, salon, "cabinet/texts.html", context, status=400 if problem else 200)


def _store(
    salon: Company,
    *,
    values: dict[str, Any] | None = None,
    words: dict[Kind, str] | None = None,
    version: str = "",
) -> int:
    """Keep columns of the settings, or words, and plan the reminders anew; how many are planned.

    Raises ChangedMeanwhile where `words` replace others than those of `version`.
    """
    with transaction.atomic():
        # Locked before anything is read: simultaneous changes come one after the other.
        Company.objects.select_for_update(of=("self",), no_key=True).get(pk=salon.pk)
        settings = wording.settings_of(salon)
        before = {name: str(getattr(settings, name)) for name in values or {}}
        for kind in words or {}:
            before[kind.value] = _words(salon, kind)
            if version != _version(before[kind.value]):
                raise ChangedMeanwhile
        for name, value in (values or {}).items():
            setattr(settings, name, value)
        planned = settings_changes.change(settings=settings, words=words or {})
        after = {name: str(value) for name, value in (values or {}).items()}
        after |= {kind.value: text for kind, text in (words or {}).items()}
        changes = {
            name: {"before": before[name][:LONGEST_IN_EVENT], "after": after[name][:LONGEST_IN_EVENT]}
            for name in after
            if before[name] != after[name]
        }
        salon.note(MarketplaceEvent.Type.TEXTS_CHANGED, by=BY, changes=changes)
    return planned


def _kind(word: str) -> Kind:
    try:
        return Kind(word)
    except ValueError as error:
        raise Http404 from error


def _words(salon: Company, kind: str) -> str:
    return wording.template_of(salon, kind=kind, language=wording.settings_of(salon).language)


def _problem(text: str) -> str:
    """Why these words cannot be kept; empty when they can."""
    if len(text) > rendering.LONGEST_TEMPLATE:
        return _("The text is longer than %(longest)d characters.") % {"longest": rendering.LONGEST_TEMPLATE}
    try:
        check_template(text)
    except ValidationError as error:
        return " ".join(error.messages)
    return ""


def _preview(salon: Company, kind: Kind, text: str) -> str:
    return _filled(text, kind, _samples(salon, wording.settings_of(salon).language))


def _samples(salon: Company, language: str) -> Samples:
    return language, wording.sample_values(salon, language=language, now=timezone.now())


def _filled(text: str, kind: Kind, samples: Samples) -> str:
    """What a client would read of a visit tomorrow."""
    language, values = samples
    try:
        return rendering.render(text, values)
    except rendering.BadTemplate:  # kept before the rules were what they are
        return rendering.render(texts.DEFAULTS[language][kind], values)


def _version(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
