"""Pieces of work in processes: all done, results as they come, errors with their own words, a killed process told."""

from __future__ import annotations

import os
import signal

import pytest

from data.errors import BadInput
from data.processes import ProcessEnded, as_they_end

pytestmark = pytest.mark.journey


def square(number: int) -> tuple[int, int]:
    if number < 0:
        raise BadInput(f"{number} is negative")
    return number**2, os.getpid()


def die(number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return number


@pytest.mark.parametrize("workers", [1, 2])
def test_each_piece_is_done_once_by_as_many_processes_as_asked(workers):
    done = list(as_they_end(square, [1, 2, 3, 4, 5], workers=workers))
    assert sorted(result for result, _ in done) == [1, 4, 9, 16, 25]
    assert ({process for _, process in done} == {os.getpid()}) == (workers == 1)
    assert list(as_they_end(square, [], workers=workers)) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_first_error_ends_it_with_its_own_words(workers):
    with pytest.raises(BadInput, match="-1 is negative"):
        list(as_they_end(square, [1, -1, *range(50)], workers=workers))


def test_killed_process_is_told_with_a_way_out():
    with pytest.raises(ProcessEnded, match=r"a process was ended from outside.*Call again with fewer --workers"):
        list(as_they_end(die, [1, 2], workers=2))
