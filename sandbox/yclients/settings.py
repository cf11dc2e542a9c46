"""The settings of a sandbox YClients."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

DEFAULT_ACCEPT = "application/vnd.yclients.v2+json"


@dataclass
class SandboxSettings:
    """Addresses, secrets and patience of one sandbox.

    `product_url` is where the service under test answers (webhooks, operator endpoint) and
    `product_public_url` where a browser reaches it; they differ only behind a proxy. `public_url` is the
    same for the sandbox itself. All are without a trailing slash. Durations are seconds.
    """

    partner_token: str
    application_id: int
    product_url: str
    product_public_url: str | None = None
    public_url: str | None = None
    accept: str = DEFAULT_ACCEPT
    state_dir: Path | None = None
    enforce_limits: bool = True
    webhook_tries: int = 3
    webhook_patience: float = 10.0
    webhook_pause: float = 1.0

    @property
    def browser_product_url(self) -> str:
        """The service's address for a browser."""
        return self.product_public_url or self.product_url
