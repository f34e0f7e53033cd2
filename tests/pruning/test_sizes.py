"""What is measured is what lies there itself."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.pruning.sizes import measure, told_bytes
from tests.pruning.shelf import make_deep as make_deep


def test_links_count_as_themselves_and_a_file_of_two_names_once(tmp_path: Path) -> None:
    (tmp_path / "outside").write_bytes(b"x" * 500_000)
    folder = tmp_path / "a 'folder'\n"
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "deep" / "er" / "file").write_bytes(b"x" * 100_000)
    os.link(folder / "deep" / "er" / "file", folder / "again")
    (folder / "out").symlink_to("../outside")
    (folder / "loop").symlink_to(".")
    size = measure(folder)
    assert size.files == 3  # the file, and two links
    assert 100_000 <= size.bytes < 200_000
    assert measure(folder / "loop").files == 1


def test_very_deep_tree_is_measured(tmp_path: Path, make_deep: Callable[[Path], None]) -> None:
    folder = tmp_path / "deep"
    folder.mkdir()
    (folder / "file").write_bytes(b"x" * 100_000)
    make_deep(folder)
    size = measure(folder)
    assert (size.files, size.bytes >= 100_000) == (1, True)


def test_what_is_not_there_takes_nothing(tmp_path: Path) -> None:
    assert measure(tmp_path / "nothing").bytes == 0


@pytest.mark.parametrize(
    ("number", "told"), [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (999_600, "1 MB"), (1_234_567_890, "1.23 GB"), (5 * 10**14, "500 TB")]
)
def test_bytes_are_told_with_three_digits(number: int, told: str) -> None:
    assert told_bytes(number) == told
