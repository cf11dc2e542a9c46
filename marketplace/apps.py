from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class MarketplaceConfig(AppConfig):
    name = "marketplace"
    verbose_name = _("YClients marketplace")

    def ready(self) -> None:
        # Each registers what web processes serve of this app.
        import marketplace.health
        import marketplace.metrics
        import marketplace.notifications.metrics
        import marketplace.worker.metrics  # noqa: F401
