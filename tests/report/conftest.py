"""A browser, shared by the tests of a module."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.report.browser import PACKAGES, missing, opened


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Headless Chromium. Where it is missing tests are skipped, and in CI they fail."""
    lacking = missing()
    if lacking:
        told = f"not installed here: {', '.join(lacking)}. As root on Debian: apt-get install {' '.join(PACKAGES)}"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(told)
    with opened(tmp_path_factory.mktemp("profile")) as one:
        yield one
