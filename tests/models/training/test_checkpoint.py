"""Checkpoints: whole or absent, damage is seen, the one before is kept."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from models.training import checkpoint
from models.training.checkpoint import Damaged, load_newest_state, read_whole, save_state, write_whole


def state(value: float) -> dict[str, object]:
    return {"weights": torch.full((500,), value), "value": value, "rng": torch.get_rng_state()}


def flip(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 0x10
    path.write_bytes(bytes(content))


def test_newest_state_is_loaded_and_the_two_newest_are_kept(tmp_path):
    for epoch, batches in [(1, 0), (9, 3), (9, 12), (10, 0)]:
        save_state(tmp_path, state(epoch + batches / 100), epoch=epoch, batches=batches, keep=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["state-000009-000000012.pt", "state-000010-000000000.pt"]
    assert load_newest_state(tmp_path, print)["value"] == 10


@pytest.mark.parametrize("cut", [0, 1, 100, 0.5, -1])
def test_torn_state_is_passed_over_for_the_one_before(tmp_path, cut):
    save_state(tmp_path, state(1), epoch=1, batches=0, keep=2)
    newest = save_state(tmp_path, state(2), epoch=2, batches=0, keep=2)
    content = newest.read_bytes()
    newest.write_bytes(content[: int(len(content) * cut) if isinstance(cut, float) else cut])
    logged: list[str] = []
    assert load_newest_state(tmp_path, logged.append)["value"] == 1
    assert str(newest) in logged[0]


def test_one_changed_bit_in_the_weights_is_seen(tmp_path):
    path = tmp_path / "best.pt"
    write_whole(path, state(3.0))
    position = path.read_bytes().index(torch.full((2,), 3.0).numpy().tobytes())
    flip(path, position)
    with pytest.raises(Damaged, match=r"best.pt: its part .* is damaged"):
        read_whole(path)


def test_no_state_is_none_also_where_all_are_damaged(tmp_path):
    assert load_newest_state(tmp_path / "missing", print) is None
    save_state(tmp_path, state(1), epoch=1, batches=0, keep=2).write_bytes(b"")
    assert load_newest_state(tmp_path, lambda text: None) is None


def test_failing_write_keeps_the_old_file_and_leaves_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "attempt-1" / "checkpoint" / "best.pt"
    write_whole(path, state(1))
    monkeypatch.setattr(os, "fsync", lambda descriptor: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space left"):
        write_whole(path, state(2))
    monkeypatch.undo()
    assert [each for each in tmp_path.rglob("*") if each.is_file()] == [path]
    assert read_whole(path)["value"] == 1


def test_folder_of_checkpoints_is_empty_until_the_first_is_complete(tmp_path, monkeypatch):
    seen: list[list[Path]] = []
    folder = tmp_path / "checkpoint"
    monkeypatch.setattr(checkpoint.os, "fsync", lambda descriptor: seen.append(list(folder.iterdir())))
    save_state(folder, state(1), epoch=1, batches=0, keep=2)
    assert seen[0] == []


def test_checkpoint_that_would_run_code_is_refused(tmp_path):
    path = tmp_path / "state-000001-000000000.pt"
    torch.save({"attack": Path("/")}, path)
    assert load_newest_state(tmp_path, lambda text: None) is None
