"""Colours that the colour-blind tell apart, each with enough contrast on white and on the dark page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

LINES = ("#0072b2", "#d55e00", "#009e73", "#c2609a", "#a87600", "#7f6fd0", "#3a93c9", "#808080")
"""After Okabe and Ito (2008), the light ones darkened until they show on white."""

DASHES = ("solid", "dashed", "dotted", "dotdash")

STATES = {
    "completed": "#009e73",
    "running": "#0072b2",
    "stalled": "#c2609a",
    "interrupted": "#a87600",
    "failed": "#d55e00",
    "blocked": "#7f6fd0",
    "held": "#7f6fd0",
    "cancelled": "#808080",
    "pruned": "#808080",
    "queued": "#3a93c9",
    "planned": "#8b949e",
}

SCALE = ("#440154", "#482878", "#3e4989", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#b5de2b", "#fde725")
"""Viridis (van der Walt and Smith 2015) in ten steps: dark to light, in grey too."""

DARK_LETTERS, PALE_LETTERS = "#14171c", "#ffffff"
LIGHT_FROM = 5
"""The first step of the scale on which dark letters are read."""


def strokes() -> Iterator[tuple[str, str]]:
    """Yield (colour, dash): every colour drawn through, then every colour dashed, and so on."""
    return ((colour, dash) for dash in DASHES for colour in LINES)


def told_direction(mode: str) -> str:
    """Return as HTML which colours are good: those that stand out, dark ones on the light page and bright ones on the dark page.

    `mode`: max or min; empty where nobody said which is better.
    """
    good = "better" if mode else "higher"
    return f'<span class="on-light">darker is {good}</span><span class="on-dark">brighter is {good}</span>'


def step_styles() -> str:
    """Return the classes of cells in the steps of the scale, heat-0 to heat-9, the best last, for the light page and the dark one."""
    bright = [(colour, DARK_LETTERS if step >= LIGHT_FROM else PALE_LETTERS) for step, colour in enumerate(SCALE)]
    return f"{_classes(bright[::-1])}@media (prefers-color-scheme: dark){{{_classes(bright)}}}"


def _classes(pairs: Sequence[tuple[str, str]]) -> str:
    return "".join(f".heat-{step}{{background:{colour};color:{letters}}}" for step, (colour, letters) in enumerate(pairs))


def step_of(share: float) -> int:
    """Return which of the ten steps of the scale a share between 0 and 1 has."""
    return min(len(SCALE) - 1, max(0, int(share * len(SCALE))))
