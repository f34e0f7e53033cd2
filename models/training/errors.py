"""How training fails, other than by bad input (data/errors.py)."""

from __future__ import annotations


class Diverged(Exception):
    """A loss became NaN or Inf; the same config would do so again."""

    mrsweep_cause = "diverged"
    """The cause under which whoever runs the training books this failure."""


class ProcessLost(Exception):
    """One of several processes that train together ended without a word: the kernel or a fault of a library ended it."""


class Degenerate(Exception):
    """No epoch gave a result that can be believed: NaN, a perfect score, or another part of k-space than was asked for."""

    mrsweep_cause = "bad_input"
    """The cause under which whoever runs the training books this failure."""
