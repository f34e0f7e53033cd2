"""The folder for TensorBoard, read back with TensorBoard's own reader."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest
from tensorboard.plugins.hparams import metadata

from orchestrator.boards.cut import read_events
from orchestrator.store.errors import StoreError
from orchestrator.store.files import read_whole
from orchestrator.store.states import State
from tests.boards.conftest import Study


def test_each_run_is_shown_once_under_its_varying_keys(study: Study) -> None:
    for seed in (1, 2):
        study.events(study.run(kind="random", seed=seed), range(3))
    boards = study.build()
    assert study.seen() == {
        "kind=random,seed=1-01ababab": {"loss": [(0, 0.1), (1, 1.1), (2, 2.1)]},
        "kind=random,seed=2-02ababab": {"loss": [(0, 0.1), (1, 1.1), (2, 2.1)]},
    }
    assert sorted(boards.names.values()) == sorted(study.seen())
    assert (boards.made, boards.removed, boards.notes) == (2, 0, ())


def test_event_files_are_linked_relative_to_the_grid_and_follow_it_when_it_moves(study: Study) -> None:
    original = study.events(study.run(seed=1), range(3))
    study.build()
    (link,) = (study.paths.boards / "seed=1-01ababab").glob("attempt-*")
    assert link.is_symlink() and not os.path.isabs(link.readlink())
    assert link.resolve() == original.resolve()
    study.paths.dir.rename(study.paths.dir.with_name("moved"))
    assert Path(str(link).replace("/g/", "/moved/")).resolve().exists()


def test_resumed_run_shows_no_step_twice(study: Study) -> None:
    run = study.run(seed=1, attempts=2)
    older = study.events(run, range(6))
    before = older.read_bytes()
    study.events(run, range(4, 9), number=2)
    study.build()
    steps = [(step, step + 0.1) for step in range(4)] + [(step, step + 0.2) for step in range(4, 9)]
    assert study.seen() == {"seed=1-01ababab": {"loss": [(step, round(value, 4)) for step, value in steps]}}
    assert older.read_bytes() == before  # what the run wrote is never touched


def test_attempt_that_goes_on_where_the_older_one_ended_is_linked_as_it_is(study: Study) -> None:
    run = study.run(seed=1, attempts=2)
    study.events(run, range(4))
    study.events(run, range(4, 6), number=2)
    study.build()
    links = sorted((study.paths.boards / "seed=1-01ababab").glob("attempt-*"))
    assert [link.is_symlink() for link in links] == [True, True]
    assert [step for step, _ in study.seen()["seed=1-01ababab"]["loss"]] == list(range(6))


def test_attempt_that_began_anew_leaves_nothing_of_the_older_ones(study: Study) -> None:
    run = study.run(seed=1, attempts=3)
    for number, tags in ((1, ("loss", "early")), (2, ("loss", "_hparams_/session_start_info")), (3, ("loss",))):
        for tag in tags:
            study.events(run, range(9 - number) if number < 3 else range(2, 4), number=number, tag=tag)
    study.build()
    seen = study.seen()["seed=1-01ababab"]
    assert "early" not in seen  # the first attempt alone reported it, and the second started from nothing
    assert seen["loss"] == [(0, 0.2), (1, 1.2), (2, 2.3), (3, 3.3)]


def test_session_marks_at_step_zero_make_no_new_beginning(study: Study) -> None:
    run = study.run(seed=1, attempts=2)
    for number, steps in ((1, range(4)), (2, range(4, 6))):
        study.events(run, steps, number=number)
        study.events(run, [0], number=number, tag="_hparams_/session_start_info")
    study.events(run, range(4), tag="early")
    study.build()
    seen = study.seen()["seed=1-01ababab"]
    assert [step for step, _ in seen["loss"]] == list(range(6)) and [step for step, _ in seen["early"]] == list(range(4))


def test_metrics_on_axes_of_their_own_are_cut_each_at_its_own_step(study: Study) -> None:
    run = study.run(seed=1, attempts=2)
    for number, epochs, iterations in ((1, range(3), range(0, 300, 100)), (2, range(2, 4), range(200, 400, 100))):
        study.events(run, epochs, number=number, tag="val/ssim")
        study.events(run, iterations, number=number, tag="train/loss")
    study.build()
    seen = study.seen()["seed=1-01ababab"]
    assert [step for step, _ in seen["val/ssim"]] == [0, 1, 2, 3]
    assert [step for step, _ in seen["train/loss"]] == [0, 100, 200, 300]


def test_of_ten_attempts_the_newest_comes_last(study: Study) -> None:
    run = study.run(seed=1, attempts=11)
    for number in range(1, 12):
        study.events(run, [number], number=number)
    study.build()
    assert [step for step, _ in study.seen()["seed=1-01ababab"]["loss"]] == list(range(1, 12))


def test_folders_of_add_scalars_are_runs_below_the_run(study: Study) -> None:
    run = study.run(seed=1)
    study.events(run, range(2))
    study.events(run, range(3), folder="tb/task_a")
    study.build()
    assert {name: len(tags["loss"]) for name, tags in study.seen().items()} == {"seed=1-01ababab": 2, "seed=1-01ababab/task_a": 3}


def test_one_folder_of_a_framework_is_the_run_itself(study: Study) -> None:
    study.events(study.run(seed=1), range(2), folder="lightning_logs/version_0")
    study.build()
    assert list(study.seen()) == ["seed=1-01ababab"]


def test_run_without_event_files_is_shown_from_its_lines(study: Study) -> None:
    run = study.run(seed=1, attempts=2)
    study.lines(run, {"step": 1, "loss": 0.5, "note": "text"}, {"step": 2, "loss": 0.4}, {"step": 3, "loss": 0.3})
    study.lines(run, {"step": 3, "loss": float("nan")}, {"step": 4, "loss": 0.125, "val/ssim": 0.75}, number=2)
    study.build()
    (seen,) = study.seen().values()
    assert seen["val/ssim"] == [(4, 0.75)]
    assert [step for step, _ in seen["loss"]] == [1, 2, 3, 4]
    assert math.isnan(seen["loss"][2][1])


def test_run_that_was_never_started_has_no_folder_and_one_that_failed_silently_has(study: Study) -> None:
    study.run(seed=1, attempts=0, state=State.QUEUED)
    study.run(seed=2, state=State.FAILED)
    assert list(study.build().names.values()) == ["seed=2-02ababab"]
    assert list(study.seen()) == ["seed=2-02ababab"]


def test_final_metrics_of_a_completed_run_stand_beside_its_curves(study: Study) -> None:
    run = study.run(seed=1, metrics={"loss": 0.25, "test/ssim": "nan"})
    study.events(run, range(2))
    study.build()
    (seen,) = study.seen().values()
    assert seen["final/loss"] == [(0, 0.25)]
    assert [step for step, _ in seen["loss"]] == [0, 1]


def test_second_build_changes_nothing(study: Study) -> None:
    study.events(study.run(seed=1), range(3))
    study.lines(study.run(seed=2), {"step": 1, "loss": 0.5})
    study.build()
    before = study.tree()
    again = study.build()
    assert (again.made, again.removed) == (0, 0)
    assert study.tree() == before


def test_build_after_news_touches_only_the_run_that_has_them(study: Study) -> None:
    runs = [study.run(seed=seed) for seed in (1, 2)]
    for run in runs:
        study.lines(run, {"step": 1, "loss": 0.5})
    study.build()
    before = study.tree()
    study.lines(runs[0], {"step": 1, "loss": 0.5}, {"step": 2, "loss": 0.25})
    assert study.build().made == 1
    after = study.tree()
    assert {path for path in after if after[path] != before[path]} == {
        "tensorboard/seed=1-01ababab/.mrsweep.json",
        "tensorboard/seed=1-01ababab/mrsweep-curves.tfevents.0",
    }
    curves = "tensorboard/seed=1-01ababab/mrsweep-curves.tfevents.0"
    assert after[curves][0] == before[curves][0]  # grown in place: a TensorBoard that reads it goes on reading
    assert study.seen()["seed=1-01ababab"]["loss"] == [(1, 0.5), (2, 0.25)]


def test_folder_of_a_pruned_run_goes_and_what_is_not_ours_stays(study: Study) -> None:
    runs = [study.run(seed=seed) for seed in (1, 2)]
    for run in runs:
        study.events(run, range(2))
    study.build()
    (study.paths.boards / "my baseline").mkdir()
    (study.paths.boards / "my baseline" / "events.out.tfevents.1").write_bytes(b"mine")
    note = study.paths.boards / "seed=2-02ababab" / "notes.txt"
    note.write_text("mine")
    for run in runs:
        study.state(run, State.PRUNED)
    boards = study.build()
    assert boards.removed == 2
    assert not (study.paths.boards / "seed=1-01ababab").exists()
    assert [path.name for path in note.parent.iterdir()] == ["notes.txt"]
    assert "seed=2-02ababab: holds files of somebody else" in boards.notes[0]
    assert (study.paths.boards / "my baseline" / "events.out.tfevents.1").read_bytes() == b"mine"
    assert all(any(study.attempt(run).glob("tb/events*")) for run in runs)


def test_link_that_becomes_a_copy_leaves_the_original_alone(study: Study) -> None:
    run = study.run(seed=1, attempts=2)
    older = study.events(run, range(6))
    before = older.read_bytes()
    study.build()  # the second attempt has written nothing yet: the first is linked
    study.events(run, range(2, 9), number=2)
    study.build()
    assert older.read_bytes() == before
    assert [step for step, _ in study.seen()["seed=1-01ababab"]["loss"]] == list(range(9))


def test_links_are_not_followed_out_of_the_attempt(study: Study, tmp_path: Path) -> None:
    run = study.run(seed=1)
    study.events(run, range(2))
    outside = tmp_path / "events.out.tfevents.9.outside"
    outside.write_bytes(b"secret")
    (study.attempt(run) / "tb" / "events.out.tfevents.9.link").symlink_to(outside)
    (study.attempt(run) / "elsewhere").symlink_to(tmp_path)
    study.build()
    links = list((study.paths.boards / "seed=1-01ababab").rglob("attempt-*"))
    assert len(links) == 1


def test_folder_that_is_a_link_is_refused(study: Study, tmp_path: Path) -> None:
    study.events(study.run(seed=1), range(2))
    (tmp_path / "other").mkdir()
    study.paths.boards.symlink_to(tmp_path / "other")
    with pytest.raises(StoreError, match="symbolic link"):
        study.build()
    assert list((tmp_path / "other").iterdir()) == []


def test_run_folder_that_is_a_link_to_an_empty_one_is_refused_too(study: Study, tmp_path: Path) -> None:
    study.events(study.run(seed=1), range(2))
    (tmp_path / "other").mkdir()
    study.paths.boards.mkdir()
    (study.paths.boards / "seed=1-01ababab").symlink_to(tmp_path / "other")
    with pytest.raises(StoreError, match="symbolic link"):
        study.build()
    assert list((tmp_path / "other").iterdir()) == []


def test_file_of_ours_that_became_a_link_is_replaced_and_not_written_through(study: Study, tmp_path: Path) -> None:
    run = study.run(seed=1, state=State.RUNNING)
    study.events(run, range(2))
    study.build()
    facts = study.paths.boards / "seed=1-01ababab" / "mrsweep-facts.tfevents.0"
    before = facts.read_bytes()
    facts.rename(tmp_path / "other")
    facts.symlink_to(tmp_path / "other")
    study.state(run, State.COMPLETED)
    study.build()
    assert (tmp_path / "other").read_bytes() == before
    assert not facts.is_symlink() and facts.read_bytes().startswith(before)


def test_hyper_parameters_keep_their_types(study: Study) -> None:
    study.events(study.run(flip=True, lr=0.5, blocks="IIV", clip=None, bound=math.inf, sizes=[1, 2]), range(2))
    study.build()
    (file,) = study.paths.boards.glob("*/mrsweep-facts.tfevents.0")
    first = next(value for event in read_events(file) for value in event.summary.value)
    told = metadata.parse_session_start_info_plugin_data(first.metadata.plugin_data.content).hparams
    kinds = {key: value.WhichOneof("kind") for key, value in told.items()}
    texts = dict.fromkeys(("blocks", "clip", "bound", "sizes"), "string_value")
    assert kinds == {"flip": "bool_value", "lr": "number_value", **texts}
    assert (told["flip"].bool_value, told["clip"].string_value, told["bound"].string_value) == (True, "null", ".inf")


def test_run_folder_that_is_a_link_is_refused(study: Study, tmp_path: Path) -> None:
    study.events(study.run(seed=1), range(2))
    study.build()
    folder = study.paths.boards / "seed=1-01ababab"
    folder.rename(tmp_path / "other")
    folder.symlink_to(tmp_path / "other")
    before = {path.name: path.lstat().st_mtime_ns for path in (tmp_path / "other").iterdir()}
    with pytest.raises(StoreError, match="symbolic link"):
        study.build()
    assert {path.name: path.lstat().st_mtime_ns for path in (tmp_path / "other").iterdir()} == before


def test_torn_and_damaged_event_files_stop_nothing(study: Study) -> None:
    run = study.run(seed=1, attempts=2)
    torn = study.events(run, range(6))
    torn.write_bytes(read_whole(torn)[:-7])
    study.events(run, range(3, 5), number=2)
    (study.attempt(run, 2) / "tb" / "events.out.tfevents.garbage").write_bytes(b"\x00garbage" * 9)
    study.build()
    assert [step for step, _ in study.seen()["seed=1-01ababab"]["loss"]] == [0, 1, 2, 3, 4]


def test_build_that_was_cut_off_is_finished_by_the_next(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    study.events(study.run(seed=1), range(3))

    def killed(operation: str, _path: object) -> None:
        if operation == "symlink":
            raise KeyboardInterrupt

    monkeypatch.setattr("orchestrator.boards.build.check_point", killed)
    with pytest.raises(KeyboardInterrupt):
        study.build()
    monkeypatch.undo()
    study.build()
    assert study.seen() == {"seed=1-01ababab": {"loss": [(0, 0.1), (1, 1.1), (2, 2.1)]}}


def test_adopted_run_is_shown_from_the_grid_that_computed_it(study: Study) -> None:
    other = Study(study.paths.dir.parent, "other")
    other.events(other.run(seed=1), range(3))
    manifest, record = other.pairs[0]
    adopted = {"id": record.id, "state": record.state, "adopted_from": "other", "adopted_attempt": "attempt-1"}
    study.pairs = [(manifest, type(record)(**adopted))]
    study.build()
    assert [step for step, _ in study.seen()["seed=1-01ababab"]["loss"]] == [0, 1, 2]
