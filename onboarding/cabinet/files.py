"""Files in the cabinet: what clients sent and were sent, and the pictures of the salon's texts."""

from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.db.models import Exists, OuterRef
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from marketplace.models import Company
from marketplace.models.bookings import MessageTemplate
from onboarding.cabinet.views import LARGEST_NUMBER, cabinet_view
from whatsapp.media import outgoing
from whatsapp.media.responses import FileUnavailable, file_response
from whatsapp.models import MediaFile, Message, MessageLocation

MIB = 1024 * 1024
REFUSALS = {
    "empty": gettext_lazy("The file is empty."),
    "quota": gettext_lazy("The salon's files take up all the room they may. Old ones go with time."),
    "storage": gettext_lazy("The file could not be stored just now. Try again in a minute."),
}


class NotTaken(Exception):
    """The uploaded file is not taken; the message is a sentence for the owner."""


@require_safe
@cabinet_view
def show(request: HttpRequest, salon: Company, file_id: int) -> HttpResponse:
    """One file: of a message of the salon's number, or of one of its texts."""
    file = _file(salon, file_id)
    try:
        return file_response(request, file)
    except FileUnavailable as error:
        status = 404 if error.permanent else 503
        return HttpResponse(_("This file cannot be shown."), status=status, content_type="text/plain")


def _file(salon: Company, file_id: int) -> MediaFile:
    rows = MediaFile.objects.filter(session__isnull=False, session=salon.session_id)
    of_messages = Message.objects.filter(media=OuterRef("pk"), session=salon.session_id)
    of_texts = MessageTemplate.objects.filter(media=OuterRef("pk"), company=salon)
    rows = rows.filter(Exists(of_messages) | Exists(of_texts))
    found = rows.filter(pk=file_id).first() if file_id <= LARGEST_NUMBER else None
    if found is None:
        raise Http404
    return found


def uploaded(request: HttpRequest) -> "UploadedFile[Any] | None":
    """The file of the form; None when the owner chose none."""
    file = request.FILES.get("file")
    return file if isinstance(file, UploadedFile) else None


def store(salon: Company, file: "UploadedFile[Any]", *, pinned: bool = False) -> MediaFile:
    """Store what was uploaded; return its row, which is not saved yet. Raises NotTaken."""
    try:
        return outgoing.store_upload(session_id=salon.session_id, upload=file, pinned=pinned)
    except outgoing.NotAccepted as error:
        words = largest_words() if error.code == "too_large" else str(REFUSALS[error.code])
        raise NotTaken(words) from error


def largest_words() -> str:
    """How large a file may be."""
    return _("The file may have at most %(size)d MB.") % {"size": outgoing.largest() // MIB}


def map_address(place: MessageLocation) -> str:
    """Where a browser shows the place; the map's owner learns of it only when it is opened."""
    if settings.PLATFORM == "yclients":
        return f"https://yandex.ru/maps/?pt={place.longitude:.6f},{place.latitude:.6f}&z=17&l=map"
    point = f"{place.latitude:.6f}/{place.longitude:.6f}"
    return (
        f"https://www.openstreetmap.org/?mlat={place.latitude:.6f}&mlon={place.longitude:.6f}#map=17/{point}"
    )
