"""The two brands of the platform: what differs between YClients and Altegio, as defaults of the settings."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Platform:
    """One brand. Each value can be set by a variable of its own; `name` is what people read."""

    name: str
    api_url: str
    accept: str  # the API's version, in the Accept header
    marketplace_page: str
    language: str


# Source: the API references of both brands; Altegio is the same platform for other countries.
PLATFORMS = {
    "yclients": Platform(
        name="YClients",
        api_url="https://api.yclients.com",
        accept="application/vnd.yclients.v2+json",
        marketplace_page="https://yclients.com/appstore",
        language="ru",
    ),
    "altegio": Platform(
        name="Altegio",
        api_url="https://api.alteg.io",
        accept="application/vnd.api.v2+json",
        marketplace_page="https://alteg.io/marketplace",
        language="en",
    ),
}
