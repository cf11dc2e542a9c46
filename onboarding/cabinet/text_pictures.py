"""The picture or document that goes with one of the salon's texts."""

from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from marketplace.models import Company, MarketplaceEvent
from marketplace.models.booking_kinds import Kind
from marketplace.models.bookings import MessageTemplate
from onboarding.cabinet import files, sessions
from onboarding.cabinet.views import BY, back_to, cabinet_view
from whatsapp.models import MediaFile


@require_POST
@cabinet_view
def change(request: HttpRequest, salon: Company, kind: str) -> HttpResponse:
    """Put `file` in the place of the one that is there, or take that away (`remove` is `1`)."""
    if kind not in Kind.values:
        raise Http404
    back = back_to("cabinet-texts-edit", salon, kind=kind)
    upload = None if request.POST.get("remove") == "1" else files.uploaded(request)
    if salon.session is None or (upload is None and request.POST.get("remove") != "1"):
        sessions.flash(request, _("Choose a file first."), tone="bad")
        return back
    try:
        file = files.store(salon, upload, pinned=True) if upload else None
    except files.NotTaken as error:
        sessions.flash(request, str(error), tone="bad")
        return back
    replace(salon, Kind(kind), file)
    sessions.flash(request, _("Kept. It goes with the next messages.") if file else _("Removed."))
    return back


def replace(salon: Company, kind: Kind, file: MediaFile | None) -> None:
    """Let the stored file, or none, go with this text; the former one goes with its time.

    Messages that wait keep the one that they were queued with.
    """
    with transaction.atomic():
        Company.objects.select_for_update(of=("self",), no_key=True).get(pk=salon.pk)
        if file is not None:
            file.save()
        row, _created = MessageTemplate.objects.get_or_create(company=salon, kind=kind)
        former, row.media = row.media, file
        row.save(update_fields=["media"])
        if former is not None:
            MediaFile.objects.filter(pk=former.pk).update(pinned=False)
        words = {
            kind.value: {
                "before": f"[{former.kind}]" if former else "",
                "after": f"[{file.kind}]" if file else "",
            }
        }
        salon.note(MarketplaceEvent.Type.TEXTS_CHANGED, by=BY, changes=words)
