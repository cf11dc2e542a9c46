"""The group of support staff: its members see everything, may operate, and manage no users."""

from django.contrib.auth.models import Group, Permission

NAME = "Support"
SEES = {
    "whatsapp": ("session", "sessionevent", "pool", "message", "mediafile"),
    "marketplace": (
        "accessrequest",
        "company",
        "marketplaceevent",
        "inboundwebhook",
        "optout",
        "clientdatarequest",
        "forwarding",
        "forwardingchange",
        "forwardedmessage",
        "welcometext",
        "recordstate",
        "apikey",
        "discrepancy",
        "payment",
        "scheduledtask",
        "listing",
    ),
}
# The change permission stands for the operations; the pages let nobody edit anything.
OPERATES = {
    "accessrequest",
    "session",
    "company",
    "inboundwebhook",
    "message",
    "mediafile",
    "optout",
    "clientdatarequest",
    "forwarding",
    "forwardingchange",
    "forwardedmessage",
    "welcometext",
    "recordstate",
    "apikey",
    "payment",
    "discrepancy",
}


def make_support_group() -> Group:
    """Return the group with exactly its permissions, made or mended; needs a migrated database.

    Raises LookupError when a permission is missing.
    """
    wanted = {
        (app, f"{verb}_{model}")
        for app, models in SEES.items()
        for model in models
        for verb in ("view", *(["change"] if model in OPERATES else []))
    }
    known = {
        (permission.content_type.app_label, permission.codename): permission
        for permission in Permission.objects.select_related("content_type").filter(
            content_type__app_label__in=SEES
        )
    }
    if missing := wanted - known.keys():
        raise LookupError(f"no such permissions: {sorted(missing)}")
    group, _made = Group.objects.get_or_create(name=NAME)
    group.permissions.set(known[each] for each in wanted)
    return group
