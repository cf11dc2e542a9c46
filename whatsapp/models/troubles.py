"""What ended or disturbs a session's link, as one word that stays until the link is up again."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class Trouble(models.TextChoices):
    """The words, with their meaning for support staff."""

    NETWORK = "network", _("the line broke")
    SERVER = "server", _("WhatsApp refuses logins for now")
    SILENT = "silent", _("WhatsApp does not answer on the open line")
    UNSTABLE = "unstable", _("the line breaks again and again")
    HOST = "host", _("our engine process ended")
    REPLACED = "replaced", _("another program took over the device")
    BANNED = "banned", _("WhatsApp restricted the number")
    OUTDATED = "outdated", _("WhatsApp refuses our version")
    REFUSED = "refused", _("the device cannot connect")
    CREDENTIALS = "credentials", _("the device's keys are lost or cannot be read")
    LOGGED_OUT = "logged_out", _("the device was removed on the phone")
    PHONE_GONE = "phone_gone", _("the phone's own WhatsApp is gone")
    DIED_EARLY = "died_early", _("the link died right after it was made")
    UNLINKED = "unlinked", _("the device was unlinked by us")
