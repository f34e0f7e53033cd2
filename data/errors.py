"""What is wrong with data: the message names file, key, expected, found and the way out."""

from __future__ import annotations


class BadInput(Exception):
    """A file or a parameter of the data cannot be used; a retry would fail alike."""

    mrsweep_cause = "bad_input"
    """The cause under which whoever runs the training books this failure."""
