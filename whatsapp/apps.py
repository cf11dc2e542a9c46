from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class WhatsappConfig(AppConfig):
    name = "whatsapp"
    verbose_name = _("WhatsApp")

    def ready(self) -> None:
        # Each registers what web processes serve of this app.
        import whatsapp.health
        import whatsapp.metrics  # noqa: F401
