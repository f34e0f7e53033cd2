"""The command: parallel, resumable, atomic, in folders with awkward names; errors in one line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest

from data.convert import __main__ as command
from data.convert.jobs import Job, find_jobs, run_jobs
from data.errors import BadInput
from data.whole_files import written_whole

pytestmark = pytest.mark.journey

ROOT = Path(__file__).parents[3]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three volumes below train/ and val/."""
    folder = tmp_path / "it's a folder"
    for number, name in enumerate(["train/a_t1.nii.gz", "train/b_t1.nii.gz", "val/c_t1.nii.gz", "train/a_t2.nii.gz"]):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        values = np.random.default_rng(number).random((6, 5, 3), dtype=np.float32)
        nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), folder / name)
    return folder


def nifti(folder: Path, out: Path, *more: str) -> list[str]:
    return ["nifti", str(folder), "--out", str(out), "--ending", "_t1.nii.gz", "--size", "8", *more]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_folders_keep_their_places_and_a_second_call_keeps_the_files(folder, tmp_path, capsys, workers):
    out = tmp_path / "out"
    assert command.main(nifti(folder, out, "--workers", workers)) == 0
    assert capsys.readouterr().out == f"{out}: 3 files written, 0 kept\n"
    assert sorted(str(path.relative_to(out)) for path in out.rglob("*.*")) == ["train/a.h5", "train/b.h5", "val/c.h5"]
    (out / "train" / "b.h5").unlink()
    assert command.main(nifti(folder, out, "--workers", workers)) == 0
    assert capsys.readouterr().out == f"{out}: 1 files written, 2 kept\n"


def test_bad_file_ends_the_command_unless_it_is_to_be_skipped(folder, tmp_path, capsys):
    (folder / "train" / "b_t1.nii.gz").write_bytes(b"torn")
    out = tmp_path / "out"
    assert command.main(nifti(folder, out, "--workers", "2")) == 2
    error = capsys.readouterr().err
    assert error.startswith("data.convert: ")
    assert "b_t1.nii.gz: cannot be read as NIfTI" in error
    assert command.main(nifti(folder, out, "--workers", "2", "--skip-bad")) == 0
    printed = capsys.readouterr()
    assert printed.out.endswith("1 skipped\n")
    assert "skipped: " in printed.err
    assert "b_t1.nii.gz" in printed.err
    assert sorted(path.name for path in out.rglob("*.h5")) == ["a.h5", "c.h5"]


def test_command_runs_as_a_module_and_names_a_missing_package(folder, tmp_path):
    program = "import sys; sys.modules['sigpy'] = None; from data.convert.__main__ import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", program, "espirit", str(folder / "train" / "a_t1.nii.gz")], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "data.convert: the package sigpy is missing. Install it with: pip install -e '.[mri,convert]'\n"
    shown = subprocess.run([sys.executable, "-m", "data.convert", "cine", "--help"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "examples:" in shown.stdout


def test_cine_takes_its_sources_together(tmp_path, capsys):
    with h5py.File(tmp_path / "a.mat", "w") as file:
        file["imagesRecon"] = file["imagesTrue"] = np.ones((5, 4, 3, 2))
    arguments = ["cine", str(tmp_path / "a.mat"), "--out", str(tmp_path / "out"), "--val", "1", "--test", "1"]
    assert command.main(arguments) == 0
    assert capsys.readouterr().out.endswith("3 files written, 0 kept\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--slices", "5"], "'5' is no range of slices"),
        (["--slices", "9:3"], "'9:3' is no range of slices"),
        (["--workers", "0"], "'0' is not a number of 1 or more"),
    ],
)
def test_wrong_option_is_refused_with_an_example(folder, tmp_path, capsys, arguments, message):
    with pytest.raises(SystemExit) as caught:
        command.main(nifti(folder, tmp_path / "out", *arguments))
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_missing_and_empty_folders_are_named(tmp_path):
    with pytest.raises(BadInput, match=r"nowhere: there is no such file or folder"):
        find_jobs([tmp_path / "nowhere"], tmp_path, endings=(".h5",))
    with pytest.raises(BadInput, match=r"holds no file that ends with .nii.gz or .nii"):
        find_jobs([tmp_path], tmp_path, endings=(".nii.gz", ".nii"))


def test_two_sources_of_one_target_are_refused(folder, tmp_path):
    with pytest.raises(BadInput, match=r"a_t1.nii.gz.* would both become"):
        find_jobs([folder / "train" / "a_t1.nii.gz", folder / "train"], tmp_path / "out", endings=("_t1.nii.gz", "_t2.nii.gz"))


def test_full_disk_ends_with_one_line(folder, tmp_path, capsys):
    (tmp_path / "out").write_text("a file where the folder should be")
    assert command.main(nifti(folder, tmp_path / "out", "--workers", "1")) == 1
    assert str(tmp_path / "out") in capsys.readouterr().err


def test_file_of_somebody_else_is_not_overwritten(folder, tmp_path, capsys):
    theirs = tmp_path / "out" / "train" / "a.h5"
    theirs.parent.mkdir(parents=True)
    with h5py.File(theirs, "w") as file:
        file["kspace"] = [1]
    before = theirs.read_bytes()
    assert command.main(nifti(folder, tmp_path / "out", "--workers", "1")) == 2
    assert "a.h5: is there already, and was not made by this command" in capsys.readouterr().err
    assert theirs.read_bytes() == before


def test_file_that_breaks_off_leaves_what_was_there(tmp_path):
    target = tmp_path / "a.h5"
    with written_whole(target) as file:
        file["kspace"] = [1]
    with pytest.raises(RuntimeError), written_whole(target) as file:
        file["kspace"] = [2]
        raise RuntimeError
    with h5py.File(target) as file:
        assert file["kspace"][()] == [1]
    assert [path.name for path in tmp_path.iterdir()] == ["a.h5"]


def die(job: Job) -> bool:
    os.kill(os.getpid(), signal.SIGKILL)
    return False


def test_killed_process_is_told_with_a_way_out(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(command, "partial", lambda work, options: die)
    assert command.main(nifti(folder, tmp_path / "out", "--workers", "2")) == 1
    assert "a process was ended from outside" in capsys.readouterr().err


def refuse_b(job: Job) -> bool:
    if job.source.name == "b":
        raise BadInput("b is bad")
    return False


@pytest.mark.parametrize("workers", [1, 2])
def test_first_bad_input_is_raised_with_its_own_words(tmp_path, workers):
    jobs = [Job(source=tmp_path / name, target=tmp_path / f"{name}.h5") for name in "abc"]
    with pytest.raises(BadInput, match="b is bad"):
        list(run_jobs(jobs, refuse_b, workers=workers))
    outcomes = {outcome.job.source.name: outcome.skipped for outcome in run_jobs(jobs, refuse_b, workers=workers, skip_bad=True)}
    assert outcomes == {"a": "", "b": "b is bad", "c": ""}
