"""Signatures: equal for one bug at different configs, different for two bugs."""

from __future__ import annotations

import pytest

from orchestrator.worker.signatures import Frame, innermost, signature, without_numbers

ALIKE = [
    ("Tried to allocate 2.00 GiB (GPU 0; 10.76 GiB total)", "Tried to allocate 20.00 MiB (GPU 3; 79 GiB total)"),
    ("loss is nan at step 3", "loss is inf at step 12000"),
    ("mat1 and mat2 shapes cannot be multiplied (64x128 and 64x32)", "mat1 and mat2 shapes cannot be multiplied (7x5 and 3x2)"),
    ("size [3, 4, 5] is odd", "size [17, 1] is odd"),
    ("at 0x7f3a00, run 0123456789abcdef", "at 0xdeadbeef, run fedcba9876543210"),
    ("no file '/runs/a/0f/0f00/attempt-1/x.h5'", "no file '/scratch/b/1e/1e33/attempt-12/x.h5'"),
    ("[rank3]: lr 1e-4 is -0.5", "lr 0.01 is 7"),
    ("2026-01-31T12:00:00 it broke", "2027-11-01 01:02:03.123Z it broke"),
    ("device cuda:0, rank 1", "device cuda:7, rank 12"),
]
DIFFERENT = [
    ("key 'kspace' is missing", "key 'mask' is missing"),
    ("no file '/data/maps.h5'", "no file '/data/volume.h5'"),
    ("loss is negative", "loss is nan"),
    ("CUDA out of memory", "CUDA error: uncorrectable ECC error"),
    ("faded", "decade"),  # words, though hexadecimal
]


@pytest.mark.parametrize(("first", "second"), ALIKE)
def test_texts_of_one_bug_are_equal_without_their_numbers(first: str, second: str) -> None:
    assert without_numbers(first) == without_numbers(second)


@pytest.mark.parametrize(("first", "second"), DIFFERENT)
def test_texts_of_two_bugs_stay_different(first: str, second: str) -> None:
    assert without_numbers(first) != without_numbers(second)


LIBRARY = Frame("/venv/lib/python3.11/site-packages/torch/nn/modules/module.py", "forward")
OWN = Frame("/home/u/project/models/varnet.py", "forward")


def test_the_innermost_frame_is_the_users_however_deep_the_library_goes() -> None:
    assert innermost([OWN, LIBRARY, LIBRARY]) == OWN
    assert innermost([LIBRARY, Frame("<frozen runpy>", "run")]) == Frame("<frozen runpy>", "run")
    assert innermost([]) is None


def test_the_same_words_from_two_functions_are_two_bugs() -> None:
    other = Frame("/home/u/project/models/varnet.py", "backward")
    assert signature("ValueError", [OWN], "bad") != signature("ValueError", [other], "bad")
    assert signature("ValueError", [OWN], "bad") != signature("TypeError", [OWN], "bad")
    assert signature("ValueError", [OWN, LIBRARY], "bad 3") == signature("ValueError", [OWN], "bad 4")
