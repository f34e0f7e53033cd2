"""The code snapshot: what git would track, as it was at launch."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from orchestrator.launch import snapshot
from orchestrator.launch.launch import renew_code
from orchestrator.launch.snapshot import take_snapshot
from orchestrator.store.errors import EntryError, InputError
from tests.watchdog.study import Study


def project(tmp_path: Path, *, git: bool) -> Path:
    folder = tmp_path / "my project's code"
    (folder / "src").mkdir(parents=True)
    (folder / "train.py").write_text("LR = 1\n")
    (folder / "src" / "net.py").write_text("DEPTH = 2\n")
    (folder / "data.bin").write_bytes(b"\0" * 10)
    (folder / ".gitignore").write_text("*.bin\n")
    if git:
        subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    return folder


def names(folder: str) -> set[str]:
    return {str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_file()}


def test_snapshot_holds_tracked_and_untracked_files_but_no_ignored_ones(tmp_path: Path) -> None:
    code = take_snapshot(project(tmp_path, git=True), tmp_path / "code")
    assert names(code.path) == {"train.py", "src/net.py", ".gitignore"}


def test_snapshot_works_without_git(tmp_path: Path) -> None:
    code = take_snapshot(project(tmp_path, git=False), tmp_path / "code")
    assert names(code.path) >= {"train.py", "src/net.py"}
    assert code.provenance["commit"] is None


def test_same_code_is_stored_once_and_an_edit_anew(tmp_path: Path) -> None:
    folder = project(tmp_path, git=True)
    first, again = (take_snapshot(folder, tmp_path / "code") for _ in range(2))
    (folder / "train.py").write_text("LR = 2\n")
    edited = take_snapshot(folder, tmp_path / "code")
    assert first.path == again.path != edited.path
    assert Path(first.path, "train.py").read_text() == "LR = 1\n"


def test_too_much_code_is_refused_with_the_largest_file_and_a_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "MAX_MB", 0.00001)
    with pytest.raises(InputError, match=r"largest: .*; the limit is .*code: none"):
        take_snapshot(project(tmp_path, git=True), tmp_path / "code")
    assert not (tmp_path / "code").exists()


def test_uncommitted_changes_are_part_of_the_provenance(tmp_path: Path) -> None:
    folder = project(tmp_path, git=True)
    identity = ["-c", "user.name=x", "-c", "user.email=x@y"]
    subprocess.run(["git", "add", "."], cwd=folder, check=True)
    subprocess.run(["git", *identity, "commit", "-qm", "first"], cwd=folder, check=True)
    (folder / "train.py").write_text("LR = 3\n")
    provenance = take_snapshot(folder, tmp_path / "code").provenance
    assert len(provenance["commit"]) == 40
    assert "+LR = 3" in provenance["diff"]
    assert "numpy" in provenance["packages"]


def test_code_of_a_folder_without_the_entry_is_refused_and_the_launched_code_stays(study: Study, tmp_path: Path) -> None:
    study.launch(1)
    before = study.grid.settings
    with pytest.raises(EntryError, match="there is no module study"):
        renew_code(study.grid, project(tmp_path, git=False))
    assert study.grid.settings == before


def test_code_of_a_folder_that_holds_the_entry_is_used_from_now_on(study: Study, tmp_path: Path) -> None:
    study.launch(1)
    moved = project(tmp_path, git=False)
    (moved / "src" / "study.py").write_text("def train(config, run): ...\n")
    renew_code(study.grid, moved)
    assert study.grid.settings is not None
    assert study.grid.settings.cwd == str(moved)
