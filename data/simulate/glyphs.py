"""Handwritten digits: strokes of a pen, another hand in each draw."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Points = NDArray[np.float64]
"""(point, 2): x from left to right and y from top to bottom, both from -1 to 1."""
SIZE = 28
BOX = 20
"""Pixels of the longer side of a digit, as in MNIST."""


def _arc(center: tuple[float, float], radii: tuple[float, float], first_deg: float, last_deg: float) -> Points:
    """Return points of an ellipse. Angles run from the right over the bottom, as y points down."""
    angles = np.radians(np.linspace(first_deg, last_deg, 24))
    return np.stack((center[0] + radii[0] * np.cos(angles), center[1] + radii[1] * np.sin(angles)), axis=1)


def _line(*points: tuple[float, float]) -> Points:
    return np.array(points, dtype=float)


STROKES: dict[int, tuple[Points, ...]] = {
    0: (_arc((0, 0), (0.6, 1), -100, 260),),
    1: (_line((-0.25, -0.65), (0.05, -1), (0, 1)),),
    2: (np.concatenate((_arc((0, -0.5), (0.55, 0.5), -170, 40), _line((-0.6, 1), (0.65, 0.95)))),),
    3: (np.concatenate((_arc((-0.05, -0.5), (0.5, 0.48), -150, 80), _arc((-0.05, 0.48), (0.6, 0.5), -80, 150))),),
    4: (_line((-0.1, -1), (-0.6, 0.2), (0.6, 0.15)), _line((0.3, -0.5), (0.2, 1))),
    5: (np.concatenate((_line((0.55, -1), (-0.4, -0.95), (-0.45, -0.15)), _arc((-0.05, 0.4), (0.6, 0.58), -130, 140))),),
    6: (np.concatenate((_line((0.35, -1), (-0.2, -0.5)), _arc((0, 0.45), (0.55, 0.53), 200, -160))),),
    7: (_line((-0.6, -0.9), (0.6, -1), (0.2, 0), (-0.1, 1)),),
    8: (np.concatenate((_arc((0, -0.5), (0.45, 0.48), 80, -270), _arc((0, 0.5), (0.55, 0.5), -90, 270))),),
    9: (np.concatenate((_arc((0, -0.45), (0.5, 0.5), -20, -340), _line((0.5, -0.5), (0.4, 0.3), (0.15, 1)))),),
}
"""Digit → its strokes."""


def draw_digit(digit: int, rng: Generator) -> NDArray[np.uint8]:
    """Draw a digit in a box of 20 pixels, its centre of mass in the middle, as MNIST's are. Returns (28, 28), 0 to 255."""
    strokes = _bent([_dense(stroke) for stroke in STROKES[digit]], rng)
    points = np.concatenate(strokes)
    low, high = points.min(axis=0), points.max(axis=0)
    scale = BOX / 2 * rng.uniform(0.85, 1.0) / max((high - low) / 2)
    ink = _paint([(stroke - (low + high) / 2) * scale for stroke in strokes], float(rng.uniform(0.8, 1.5)))
    return np.asarray(np.round(255 * _centred(ink)), dtype=np.uint8)


def _dense(stroke: Points) -> Points:
    """Return points along a stroke, about as far apart as a third of a pixel."""
    lengths = np.concatenate(([0.0], np.cumsum(np.hypot(*np.diff(stroke, axis=0).T))))
    at = np.linspace(0, lengths[-1], max(int(lengths[-1] * BOX), 2))
    return np.stack([np.interp(at, lengths, stroke[:, axis]) for axis in (0, 1)], axis=1)


def _bent(strokes: list[Points], rng: Generator) -> list[Points]:
    """Slant, turn and stretch strokes, and bend them by a few slow waves."""
    turn, slant, stretch = rng.uniform(-0.2, 0.2), rng.uniform(-0.1, 0.4), rng.uniform(0.75, 1.1)
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) @ np.array([[stretch, -slant], [0, 1]])
    frequencies, phases, sizes = rng.uniform(-2.5, 2.5, (3, 2)), rng.uniform(0, 2 * np.pi, (3, 2)), rng.uniform(0, 0.07, (3, 2))
    waved = (
        stroke + sum(size * np.sin(stroke @ f[:, None] + p) for f, p, size in zip(frequencies, phases, sizes, strict=True))
        for stroke in strokes
    )
    return [stroke @ matrix.T for stroke in waved]


def _paint(strokes: list[Points], width: float) -> NDArray[np.float64]:
    """Return the ink of strokes in pixels about the middle; edges are one pixel soft. width: half that of the pen."""
    middle = (SIZE - 1) / 2
    y, x = np.indices((SIZE, SIZE)) - middle
    points = np.concatenate(strokes)
    distance = np.sqrt((x[..., None] - points[:, 0]) ** 2 + (y[..., None] - points[:, 1]) ** 2).min(axis=-1)
    return np.clip(width + 0.5 - distance, 0.0, 1.0)


def _centred(ink: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shift by whole pixels until the centre of mass is in the middle."""
    places = np.indices(ink.shape).reshape(2, -1)
    mass = places @ ink.ravel() / ink.sum()
    shift = np.round((SIZE - 1) / 2 - mass).astype(int)
    return np.roll(ink, tuple(shift.tolist()), axis=(0, 1))
