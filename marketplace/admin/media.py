"""Files of messages in the admin, with what only this app knows: which of them wait."""

from typing import Any, ClassVar

from django.contrib import admin

from marketplace.admin.waiting import WaitingFilter
from whatsapp.admin.media import MediaFileAdmin
from whatsapp.models import MediaFile


class WaitingMediaFileAdmin(MediaFileAdmin):
    """Files, also those that a pool is to fetch now."""

    list_filter: ClassVar[Any] = (*MediaFileAdmin.list_filter, WaitingFilter)


admin.site.unregister(MediaFile)
admin.site.register(MediaFile, WaitingMediaFileAdmin)
