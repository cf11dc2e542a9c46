"""Not in apps.py: Django would take the imported AdminConfig for this app's own."""

from django.contrib.admin.apps import AdminConfig


class SupportAdminConfig(AdminConfig):
    """Django's admin with our own site."""

    default_site = "config.admin_site.SupportSite"
