"""What keeps people out of a page, as axe-core finds it; see tests/axe/README.md."""

from typing import Any

from playwright.sync_api import Page

from tests.environment import ROOT

GRAVE = {"serious", "critical"}
OPTIONS: dict[str, Any] = {"resultTypes": ["violations"]}
SIDEWAYS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


def grave_findings(page: Page) -> list[str]:
    """Serious and critical findings on the page as it stands: the rule, and the elements that break it."""
    page.evaluate((ROOT / "tests" / "axe" / "axe.min.js").read_text())
    found = page.evaluate("options => axe.run(document, options)", OPTIONS)
    return [
        f"{violation['id']}: {', '.join(str(node['target']) for node in violation['nodes'])}"
        for violation in found["violations"]
        if violation["impact"] in GRAVE
    ]


def sideways_scroll(page: Page) -> int:
    """By how many pixels the page is wider than its window."""
    width: int = page.evaluate(SIDEWAYS)
    return width
