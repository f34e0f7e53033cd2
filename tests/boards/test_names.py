"""Folder names: readable, safe, short enough, and no two alike."""

from __future__ import annotations

import re

import pytest

from orchestrator.boards.names import MOST_CHARACTERS, board_names, id_length
from orchestrator.grid.manifest import Manifest

ID = "3fa9c2d100000000"


def name_of(**varying: object) -> str:
    return board_names([Manifest(id=ID, version=1, config={}, varying=varying)])[ID]


@pytest.mark.parametrize(
    ("varying", "name"),
    [
        ({"model.blocks": "IIV", "seed": 1}, "blocks=IIV,seed=1-3fa9c2d1"),
        ({"a.kind": "x", "b.kind": "y"}, "a.kind=x,b.kind=y-3fa9c2d1"),  # one word for both would not tell them apart
        ({"optim.lr": 1e-4, "flip": True, "clip": None}, "lr=0.0001,flip=true,clip=null-3fa9c2d1"),
        ({"file": "../../etc/passwd"}, "file=.._.._etc_passwd-3fa9c2d1"),
        ({"note": 'a "b"\n\x1b[31m$(reboot)é'}, "note=a_b_31m_reboot_-3fa9c2d1"),
        ({"sizes": [1, 2]}, "sizes=_1_2_-3fa9c2d1"),
        ({".": ""}, "=-3fa9c2d1"),
        ({}, "run-3fa9c2d1"),
    ],
    ids=str,
)
def test_name_tells_the_varying_keys_in_characters_that_are_safe_everywhere(varying: dict[str, object], name: str) -> None:
    assert name_of(**varying) == name
    assert re.fullmatch(r"[A-Za-z0-9=._+@,~-]+", name)


def test_long_name_is_cut_and_keeps_its_id() -> None:
    name = name_of(text="x" * 1000)
    assert len(name) == MOST_CHARACTERS
    assert name.startswith("text=xxx") and name.endswith("~-3fa9c2d1")


def test_names_that_would_be_alike_are_told_apart_by_the_id() -> None:
    alike = [
        Manifest(id=f"3fa9c2d1{place:08x}", version=1, config={}, varying={"k": value}) for place, value in enumerate(("a/b", "a b", "a?b"))
    ]
    names = board_names(alike)
    assert len({name.lower() for name in names.values()}) == 3
    assert names[alike[2].id] == "k=a_b-3fa9c2d100000002"


def test_ids_are_as_short_as_they_can_be_told_apart() -> None:
    assert id_length(["aaaaaaaa00000000", "baaaaaaa00000000"]) == 8
    assert id_length(["aaaaaaaaaa100000", "aaaaaaaaaa200000"]) == 11
    assert id_length([]) == 8
