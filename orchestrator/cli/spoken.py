"""What the live view is to say as the command line says it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.cli.options import user
from orchestrator.cli.show import cell, minutes
from orchestrator.cli.standing import age, head, inert, tail, words

if TYPE_CHECKING:
    from orchestrator.live.words import Words


def spoken() -> Words:
    """Return the functions that turn values into text."""
    from orchestrator.live.words import Words

    return Words(
        head=lambda picture, width: inert(head(picture, width)),
        why=lambda picture, width: inert(tail(picture, width)),
        cell=cell,
        minutes=minutes,
        counts=words,
        age=age,
        user=user,
    )
