"""The sentences that the page's script shows by itself, in the active language."""

from django.utils.translation import gettext as _


def texts() -> dict[str, str]:
    """Return them by the names that the script uses."""
    return {
        "secondsLeft": _("The code is good for {seconds} s more; a new one comes by itself."),
        "codeSecondsLeft": _("The code is good for {seconds} s more."),
        "codeRanOut": _("The code has run out. Get a new one."),
        "scan": _("Scan the code with WhatsApp on the salon's phone."),
        "type": _("Type the code in WhatsApp on the salon's phone."),
        "givePhone": _("Give the number of WhatsApp on the salon's phone to get a code."),
        "wait": _("Preparing a code. It takes a few seconds."),
        "preparing": _("Preparing the code…"),
        "emptyPhone": _("Write the phone number first."),
        "getCode": _("Get a code"),
        "noCode": _("WhatsApp has not given a code. Try again, or scan the QR code."),
        "codeFor": _("Code for {phone}"),
        "asking": _("Asking WhatsApp for a code…"),
        "copied": _("Copied"),
        "codeCopied": _("The code is copied. Paste it in WhatsApp, or type it."),
        "copyByHand": _("This browser does not let us copy. Press and hold the code, then choose “Copy”."),
        "copy": _("Copy the code"),
        "offline": _("The live connection is interrupted: the page asks for news every second."),
        "silent": _(
            "There has been no news for a while. Check the internet connection, then press “Check again”."
        ),
        "checkAgain": _("Check again"),
        "connectAgain": _("Connect again"),
        "connected": _("WhatsApp is connected"),
        "notConnected": _("WhatsApp is not on line now"),
        "useHere": _("Use it here again"),
        "expiredTitle": _("The link of this page has run out"),
        "expired": _(
            "For safety it works for one hour. Open the application in YClients and press “Connect” again; "
            "what has been linked stays linked."
        ),
        "foreign": _(
            "The page was opened from an address that we do not know, so news arrives more slowly. "
            "Better open it from YClients."
        ),
        "tooMany": _("The page was opened too often within a minute. News arrives more slowly for a while."),
        "noNetwork": _("Our server cannot be reached. Check the internet connection; the page keeps trying."),
        "activationFailed": _("The activation did not succeed"),
        "activating": _("Activating in YClients"),
        "disputed": _("Two users have come for this salon"),
        "pay": _("Pay in YClients"),
        "back": _("Back to YClients"),
        "suspended": _("The application is suspended"),
        "removed": _("The application has been removed"),
        "conflict": _("WhatsApp was taken over elsewhere"),
        "banned": _("WhatsApp has restricted the number"),
        "failed": _("Could not connect to WhatsApp"),
        "current": _("current step"),
        "finished": _("finished"),
    }
