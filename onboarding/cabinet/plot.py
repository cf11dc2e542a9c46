"""The plot of 30 days as shapes of an SVG picture; the template draws it, and a table says the same."""

from dataclasses import dataclass

from onboarding.cabinet.statistics import OUTCOMES, Day

WIDTH, HEIGHT = 600, 120
GAP = 3


@dataclass(frozen=True, slots=True)
class Piece:
    """One outcome of one day: a rectangle in the picture's units."""

    outcome: str
    x: float
    y: float
    width: float
    height: float


def draw(days: list[Day]) -> list[Piece]:
    """Stack each day's outcomes from the ground up; the largest day is as high as the picture."""
    most = max((day.total for day in days), default=0)
    if not most:
        return []
    step = WIDTH / len(days)
    pieces = []
    for number, day in enumerate(days):
        top = float(HEIGHT)
        for outcome in OUTCOMES:
            height = HEIGHT * day.by_outcome[outcome] / most
            top -= height
            if height:
                x = round(number * step + GAP / 2, 1)
                pieces.append(Piece(outcome, x, round(top, 1), round(step - GAP, 1), round(height, 1)))
    return pieces
