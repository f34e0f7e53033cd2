"""Real grids of this machine, and the words of the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from orchestrator.cli.spoken import spoken
from tests.cli.conftest import Project, project
from tests.live.terminal import Screen

__all__ = ["project"]

WORDS = spoken()._replace(user=lambda: "anna")


@pytest.fixture
def open_screen(project: Project) -> Iterator[Callable[..., Screen]]:
    """Start the command in a terminal; it is ended with the test."""
    screens: list[Screen] = []

    def start(*arguments: str, **settings: object) -> Screen:
        screens.append(Screen(project, *arguments, **settings))  # type: ignore[arg-type]
        return screens[-1]

    yield start
    for screen in screens:
        screen.leave()
