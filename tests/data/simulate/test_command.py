"""The command line: one command for all kinds, its options, its words."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import h5py
import numpy as np
import pytest

from data.simulate import files
from data.simulate.__main__ import main
from data.simulate.command import EXAMPLES, KINDS, OPTIONS, build_parser, counts_of, spec_of
from data.simulate.options import DATASETS, SITES, BrainSpec

ROOT = Path(__file__).parents[3]
NORM, PIXEL = 0.003757708938792348, 1.0296138498233631e-05
"""Of k-space, and of the middle of the image, in the first volume of the defaults."""
COMMANDS = re.findall(r"python -m data\.simulate ((?:brain|knee|sites|cine|paired|digits|mask_brain) .*)", EXAMPLES)
PAGES = [ROOT / "docs" / "data.md", *sorted((ROOT / "grids").glob("*.yaml"))]
SHOWN = [line for page in PAGES for line in re.findall(r"python -m data\.simulate ([^\n\"']+)", page.read_text())]
TINY = {
    "brain": "--size 17x16 --slices 1 --coils 1 --padding 0",
    "knee": "--size 17x16 --slices 1 --coils 1",
    "sites": "--sites B I --size 20x20 --slices 1",
    "cine": "--size 17x16 --frames 2 --spokes 3",
    "paired": "--size 24x24 --slices 1 --center-fraction 0.25",
    "digits": "--slices 2",
    "mask_brain": "--size 17x16 --slices 1 --coils 1",
}


def tiny(kind, out):
    return [kind, "--out", str(out), "--train", "1", "--val", "1", "--test", "1", *TINY[kind].split()]


@pytest.mark.parametrize("kind", KINDS)
def test_command_writes_a_data_set_and_says_so_once(kind, tmp_path, capsys):
    out = tmp_path / "a folder's name"
    assert main(tiny(kind, out)) == 0
    assert main(tiny(kind, out)) == 0
    count = len(list(out.rglob("*.json" if kind == "mask_brain" else "*.h5")))
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [f"{out}: {count} files written, 0 kept", f"{out}: 0 files written, {count} kept"]
    assert printed.err == ""  # no progress where nobody watches
    assert count == {"knee": 6, "sites": 12, "paired": 6}.get(kind, 3)


@pytest.mark.parametrize("command", [*COMMANDS, *SHOWN])
def test_shown_commands_are_understood(command):
    arguments = build_parser().parse_args(shlex.split(command))
    spec_of(arguments)
    counts_of(arguments)


def test_every_kind_is_shown_with_a_command_in_the_page_and_in_the_help():
    page = (ROOT / "docs" / "data.md").read_text()
    for text in (page, EXAMPLES):
        assert set(re.findall(r"python -m data\.simulate (\w+) ", text)) == set(KINDS)
    assert all(f"`data.simulate {kind}`" in page for kind in KINDS)


def test_every_option_is_explained_and_none_in_vain():
    used = {field.name for kind in KINDS.values() for field in fields(kind.spec)}
    assert used == set(OPTIONS)


def test_counts_are_one_number_for_all_groups_or_one_for_each():
    parse = build_parser().parse_args
    knee = counts_of(parse(["knee", "--out", "x", "--train", "16,4", "--val", "2"]))
    assert knee == {DATASETS[0]: {"train": 16, "val": 2, "test": 2}, DATASETS[1]: {"train": 4, "val": 2, "test": 2}}
    assert set(counts_of(parse(["sites", "--out", "x"]))) == set(SITES)
    assert counts_of(parse(["brain", "--out", "x", "--train", "0"])) == {"train": 0, "val": 2, "test": 2}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["brain", "--size", "8x8"], "--size is (8, 8); it must be at least 16 pixels"),
        (["brain", "--coils", "0"], "--coils is 0; it must be at least 1"),
        (["knee", "--train", "1,2,3"], "--train is 1,2,3; it must be one number, or 2 for div_coronal_pd, div_coronal_pd_fs"),
        (["knee", "--datasets", "a", "a"], "--datasets names a a; each only once"),
        (["knee", "--datasets", "../a"], "--datasets: '../a' is none; it must be the name of a folder"),
        (["sites", "--sites", "B", "Q"], "--sites: 'Q' is none; known are B, F, H, I"),
        (["paired", "--center-fraction", "0.9"], "--center-fraction is 0.9"),
        (["digits", "--mnist", "nowhere"], "nowhere: holds neither"),
    ],
)
def test_command_tells_wrong_input_in_one_line(tmp_path, capsys, arguments, message):
    assert main([arguments[0], "--out", str(tmp_path / "out"), *arguments[1:]]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"data.simulate: {message}")
    assert not (tmp_path / "out").exists()


def test_as_many_files_are_made_at_a_time_as_asked_and_no_more_than_there_are(tmp_path, capsys, monkeypatch):
    asked = []
    monkeypatch.setattr(files, "as_they_end", lambda work, pieces, *, workers: (asked.append(workers), map(work, pieces))[1])
    for more in ([], ["--workers", "2"], ["--workers", "9"]):
        assert main([*tiny("digits", tmp_path), *more]) == 0
    assert asked == [1, 2, 3]
    with pytest.raises(SystemExit):
        main([*tiny("digits", tmp_path), "--workers", "0"])
    assert "'0' is not a number of 1 or more" in capsys.readouterr().err


def test_command_tells_an_unwritable_folder(tmp_path, capsys):
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert main(["brain", "--out", str(blocked)]) == 1
    assert "Choose another --out" in capsys.readouterr().err


@pytest.mark.parametrize("size", ["64", "64x", "-3x4", "axb", "64x64x64"])
def test_malformed_size_is_refused_by_the_parser(size, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["brain", "--out", "x", f"--size={size}"])
    assert caught.value.code == 2
    assert "is not a size; write rows x columns" in capsys.readouterr().err


@pytest.mark.parametrize(("kind", "count"), [("brain", "2,3"), ("knee", "2,"), ("cine", "-1"), ("sites", "two")])
def test_malformed_count_is_refused_by_the_parser(kind, count, capsys):
    with pytest.raises(SystemExit):
        main([kind, "--out", "x", f"--train={count}"])
    assert "is not a number; write 0 or more" in capsys.readouterr().err


def test_reading_the_command_line_loads_no_library():
    program = "import sys, data.simulate.command; print({'numpy', 'torch', 'h5py'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("set()", "")


def test_brains_have_the_pixels_that_they_had_from_the_first(tmp_path):
    """A data set that lies on a disk since then is found complete."""
    assert main(["brain", "--out", str(tmp_path), "--train", "1", "--val", "0", "--test", "0"]) == 0
    with h5py.File(tmp_path / "train" / "brain_train_0000.h5") as file:
        assert float(np.linalg.norm(file["kspace"][()])) == pytest.approx(NORM, rel=1e-5)
        assert float(file["reconstruction_rss"][4, 48, 40]) == pytest.approx(PIXEL, rel=1e-5)
    assert BrainSpec().describe() == {
        "version": 1,
        "size": (96, 80),
        "oversampling": 1.25,
        "padding": 2,
        "slices": 8,
        "coils": 4,
        "noise": 0.02,
        "seed": 1,
    }
