"""Salons and webhooks on the first page of the admin."""

from config.shared.overview import Panel, panel_of_all, register_panel, rows_of
from marketplace.admin.companies import COMPANY_TONES, WEBHOOK_TONES
from marketplace.models import Company, InboundWebhook


def _companies() -> Panel:
    return panel_of_all(Company, "status", COMPANY_TONES)


def _webhooks() -> Panel:
    words = [(state.value, state.label) for state in InboundWebhook.UNFINISHED]
    return Panel(
        InboundWebhook._meta.verbose_name_plural or "",
        rows_of(InboundWebhook, "state", words, WEBHOOK_TONES),
    )


register_panel(Company, _companies)
register_panel(InboundWebhook, _webhooks)
