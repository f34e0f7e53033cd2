"""Trees of real TensorBoard files: what a re-run left is found at any depth, and the most complete run stays."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path, PurePosixPath

import pytest
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from orchestrator.pruning import event_trees
from orchestrator.pruning.event_files import Content, read_event_file
from orchestrator.pruning.event_trees import TreePlan, clean_tree, cleaned, families, find_files, plan_tree, restore_tree
from orchestrator.pruning.trash import is_unsettled
from orchestrator.store.errors import Busy, StoreError
from orchestrator.store.layout import event_tree_trash
from tests.pruning.shelf import HOSTILE, Killed, kill_at, tree

DEPTHS = [".", "run", "deep/er/run/with space", *(f"odd/{name}" for name in HOSTILE)]


class Log:
    """Writes event files, each later than the one before it."""

    def __init__(self, root: Path) -> None:
        self.root, self.now = root, 1_000_000.0

    def write(self, folder: str, *steps: int, tag: str = "loss", padding: int = 0) -> Path:
        """Write a value of `tag` at each step; `padding` makes the file larger by a text. Returns the file."""
        place = self.root / folder
        place.mkdir(parents=True, exist_ok=True)
        aside = self.root.with_name("aside")  # the writer itself takes no name that is not UTF-8
        writer = EventFileWriter(str(aside))
        for step in steps:
            self.now += 1
            value = Summary.Value(tag=tag, simple_value=0.5)
            writer.add_event(Event(wall_time=self.now, step=step, summary=Summary(value=[value])))
        if padding:
            text = Summary.Value(tag=tag, metadata={"plugin_data": {"plugin_name": "text", "content": b"x" * padding}})
            writer.add_event(Event(wall_time=self.now, step=steps[0], summary=Summary(value=[text])))
        writer.close()
        [file] = aside.iterdir()
        return file.rename(place / file.name)


@pytest.fixture
def log(tmp_path: Path) -> Log:
    root = tmp_path / "old 'logs'"
    root.mkdir()
    return Log(root)


def moved(log: Log, plan: TreePlan | None = None, **more: bool) -> list[Path]:
    return [log.root / move.file.place for move in (plan or plan_tree(log.root, **more)).moves]


def clean(log: Log, **more: bool) -> list[str]:
    return clean_tree(log.root, plan_tree(log.root, **more), by="ada", at=5.0)[1]


@pytest.mark.parametrize("folder", DEPTHS)
def test_aborted_try_goes_and_comes_back_at_any_depth_and_name(log: Log, folder: str) -> None:
    aborted = log.write(folder, 1, 2, padding=20_000)
    complete = log.write(folder, 1, 2, 3)
    log.write("other/run", 1)
    before = tree(log.root)
    assert moved(log) == [aborted]
    assert tree(log.root) == before
    assert clean(log) == []
    assert (aborted.exists(), complete.exists()) == (False, True)
    assert restore_tree(log.root, cleaned(log.root))[1] == []
    assert tree(log.root) == before


def test_largest_is_kept_only_where_that_is_asked_for(log: Log) -> None:
    large, complete = log.write("run", 1, 2, padding=20_000), log.write("run", 1, 2, 3)
    assert (moved(log), moved(log, by_size=True)) == ([large], [complete])


def test_of_files_of_equal_size_the_newest_stays_by_either_rule(log: Log) -> None:
    first, second = log.write("run", 1, 2), log.write("run", 1, 2)
    assert first.stat().st_size == second.stat().st_size
    assert moved(log) == moved(log, by_size=True) == [first]


def test_resumed_run_keeps_both_files_and_says_why(log: Log) -> None:
    log.write("run", 1, 2, 3)
    log.write("run", 3, 4, 5)
    plan = plan_tree(log.root)
    assert plan.moves == ()
    assert "goes on at step 3: it resumes" in plan.kept[0]


def test_sub_folders_of_one_writer_share_its_fate(log: Log) -> None:
    for steps in ((1, 2, 3), (1,)):
        log.write("run", *steps)
        log.write("run/l1_train", *steps)
        log.write("run/l1_val/pd", *steps, 9 if len(steps) == 1 else 4)  # alone, the aborted one would look further
    assert families(find_files(log.root, [])) == [["run", "run/l1_train", "run/l1_val/pd"]]
    gone = moved(log)
    assert sorted(str(path.parent.relative_to(log.root)) for path in gone) == ["run", "run/l1_train", "run/l1_val/pd"]
    assert {read_event_file(path).scalars for path in gone} == {3, 4}


def test_folder_never_loses_its_last_event_file(log: Log) -> None:
    log.write("run", 1)
    only = log.write("run/val", 1)
    log.write("run", 1, 2, 3)
    assert only not in moved(log)
    assert len(moved(log)) == 1


def test_runs_of_other_processes_below_a_folder_are_judged_by_themselves(log: Log) -> None:
    name = "events.out.tfevents.1700000000.node7.{}.0"
    for folder, pid, steps in ((".", 1, (1, 2, 3)), (".", 2, (1,)), ("a", 3, (1,)), ("a", 4, (1, 2))):
        file = log.write(folder, *steps)
        file.rename(file.with_name(name.format(pid)))
    for path in log.root.rglob("*tfevents*"):
        os.utime(path, (1e9, 1e9))
    assert families(find_files(log.root, [])) == [["."], ["a"]]
    assert sorted(path.name.split(".")[-2] for path in moved(log)) == ["2", "3"]


def test_file_of_a_process_that_lives_is_left_with_all_beside_it(log: Log) -> None:
    log.write("run", 1, 2, 3)
    aborted = log.write("run", 1)
    with subprocess.Popen(["sleep", "60"]) as process:
        host = os.uname().nodename
        living = aborted.rename(aborted.with_name(f"events.out.tfevents.{time.time():.0f}.{host}.{process.pid}.0"))
        for by_size in (False, True):
            plan = plan_tree(log.root, by_size=by_size)
            assert plan.moves == () and "may still be written to" in plan.kept[0]
        older = living.rename(living.with_name(f"events.out.tfevents.1600000000.{host}.{process.pid}.0"))
        assert moved(log) == [older]  # the number was another process's then
        living = older.rename(living)
        process.kill()
    assert moved(log) == [living]


def test_file_of_another_host_is_left_until_it_is_quiet(log: Log) -> None:
    for number, steps in enumerate(((1, 2, 3), (1,))):
        file = log.write("run", *steps)
        file.rename(file.with_name(f"events.out.tfevents.170000000{number}.node.with.dots.7.0"))
    now = file.with_name(f"events.out.tfevents.170000000{number}.node.with.dots.7.0").stat().st_mtime
    assert plan_tree(log.root, now=now + event_trees.QUIET_S - 60).moves == ()
    assert len(plan_tree(log.root, now=now + event_trees.QUIET_S + 60).moves) == 1


@pytest.mark.parametrize("cut", [1, 5, 30])
def test_torn_file_counts_as_far_as_it_can_be_read(log: Log, cut: int) -> None:
    torn, whole = log.write("run", 1, 2, 3, 4), log.write("run", 1, 2, 3, 4)
    os.truncate(torn, torn.stat().st_size - cut)
    assert not read_event_file(torn).is_whole
    assert moved(log) == [torn]
    assert whole.exists()


@pytest.mark.parametrize("content", [b"", b"\0" * 4096, b"no event file", b"\xff" * 24])
def test_file_without_a_record_holds_nothing(log: Log, content: bytes) -> None:
    log.write("run", 1)
    empty = log.root / "run" / "events.out.tfevents.1.host"
    empty.write_bytes(content)
    os.utime(empty, (1e9, 1e9))
    assert moved(log) == [empty]


def test_scalars_of_tensorflow_2_are_counted(log: Log) -> None:
    writer = EventFileWriter(str(log.root))
    for step in range(3):
        value = Summary.Value(tag="loss", tensor={"dtype": 1, "float_val": [0.5]})
        if step == 0:
            value.metadata.plugin_data.plugin_name = "scalars"
        writer.add_event(Event(wall_time=1.0, step=step, summary=Summary(value=[value])))
    writer.close()
    [file] = log.root.iterdir()
    content = read_event_file(file)
    assert (content.scalars, content.first_step, content.last_step) == (3, 0, 2)


def test_steps_are_those_of_the_scalars_and_not_of_a_picture(log: Log) -> None:
    file = log.write("run", 5, 6, padding=10)
    writer = EventFileWriter(str(file.parent))
    image = Summary.Value(tag="picture", image={"height": 1, "width": 1, "encoded_image_string": b"x" * 50_000})
    writer.add_event(Event(wall_time=1.0, step=999, summary=Summary(value=[image])))
    value = Summary.Value(tag="loss", simple_value=1.0)
    writer.add_event(Event(wall_time=1.0, step=7, summary=Summary(value=[value])))
    writer.close()
    last = max(file.parent.iterdir(), key=lambda path: path.stat().st_size)
    content = read_event_file(last)
    assert (content.last_step, content.scalars, content.values) == (7, 1, 2)


def test_links_are_not_followed_and_files_that_are_no_event_files_stay(log: Log, tmp_path: Path) -> None:
    outside = Log(tmp_path / "outside")
    outside.write("run", 1)
    outside.write("run", 1, 2)
    (log.root / "link").symlink_to(outside.root)
    (log.root / "loop").symlink_to(".")
    log.write("run", 1)
    (log.root / "run" / "events.out.tfevents.link").symlink_to(next((outside.root / "run").iterdir()))
    (log.root / "run" / "events.out.tfevents.gone").symlink_to("nowhere")
    (log.root / "run" / "parameters.json").write_text("{}")
    before = tree(outside.root)
    assert moved(log) == []
    assert tree(outside.root) == before


def test_tree_that_is_a_link_or_whose_trash_is_one_is_refused(log: Log, tmp_path: Path) -> None:
    log.write("run", 1)
    log.write("run", 1, 2)
    (tmp_path / "link").symlink_to(log.root)
    with pytest.raises(StoreError, match="symbolic link"):
        plan_tree(tmp_path / "link")
    (tmp_path / "elsewhere").mkdir()
    event_tree_trash(log.root).dir.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="symbolic link"):
        clean(log)
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.skipif(os.getuid() != 0, reason="only root may give a file away")
def test_file_of_another_user_is_left_and_told(log: Log) -> None:
    theirs = log.write("run", 1)
    log.write("run", 1, 2)
    os.chown(theirs, 12345, -1)
    plan = plan_tree(log.root)
    assert plan.moves == () and "belongs to user 12345" in plan.kept[0]


def test_file_that_cannot_be_read_keeps_its_folder_as_it_is_and_no_other(log: Log) -> None:
    secret, aborted = log.write("run", 1), log.write("other", 1)
    log.write("run", 1, 2)
    log.write("other", 1, 2)

    def read(path: Path) -> Content:
        if path == secret:
            raise PermissionError(13, "Permission denied", str(path))
        return read_event_file(path)

    plan = plan_tree(log.root, read=read)
    assert moved(log, plan) == [aborted]
    [told] = plan.kept
    assert str(secret) in told and "Permission denied; nothing there is moved" in told


def test_what_lies_in_the_trash_is_no_run_for_tensorboard_nor_for_the_next_cleaning(log: Log) -> None:
    log.write("run", 1)
    log.write("run", 1, 2)
    clean(log)
    assert not [path for path in event_tree_trash(log.root).dir.rglob("*") if path.is_file() and "tfevents" in path.name]
    assert (moved(log), clean(log)) == ([], [])


def test_file_that_grew_or_lost_what_stays_beside_it_is_left(log: Log) -> None:
    log.write("run", 1)
    stays = log.write("run", 1, 2)
    plan = plan_tree(log.root)
    stays.unlink()
    done, [told] = clean_tree(log.root, plan, by="", at=1.0)
    assert done == [] and "has changed meanwhile" in told


def test_kill_at_every_operation_loses_nothing_and_the_next_cleaning_finishes_it(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("a", "b"):
        log.write(folder, 1)
        log.write(folder, 1, 2)
    before, died, kills = tree(log.root), True, 0
    while died:
        with monkeypatch.context() as patch:
            kill_at(patch, kills)
            try:
                clean(log)
                died = False
            except Killed:
                kills += 1
        here = tree(log.root, without=())
        contents = sorted(content for path, content in here.items() if not path.endswith(("index.json", "lock")) and "/.index" not in path)
        assert contents == sorted(before.values())
        clean(log)
        assert not is_unsettled(event_tree_trash(log.root)) and moved(log) == []
        assert restore_tree(log.root, cleaned(log.root))[1] == []
        assert {path: content for path, content in tree(log.root).items() if not path.startswith(".trash")} == before
        shutil.rmtree(event_tree_trash(log.root).dir, ignore_errors=True)
    assert kills >= 8


def test_two_cleaners_do_not_work_at_a_time(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    log.write("run", 1)
    log.write("run", 1, 2)
    plan = plan_tree(log.root)
    monkeypatch.setattr(event_trees, "LOCK_WAIT_S", 0.1)
    with event_trees._alone(event_tree_trash(log.root)), pytest.raises(Busy):
        clean_tree(log.root, plan, by="", at=1.0)
    assert len(clean_tree(log.root, plan, by="", at=1.0)[0]) == 1


def test_names_tell_host_and_process_also_with_dots_and_suffixes() -> None:
    def writer(name: str) -> tuple[str, int] | None:
        return event_trees.EventFile(place=str(PurePosixPath("f") / name), size=0, changed_at=0.0).writer

    assert writer("events.out.tfevents.1795277660.vm.19867.2") == ("vm", 19867)
    assert writer("events.out.tfevents.1795277660.node7.cluster.edu.19867.2.v2") == ("node7.cluster.edu", 19867)
    assert writer("events.out.tfevents.1795277660.vm.19867.2.profile-empty") == ("vm", 19867)
    assert writer("events.out.tfevents.1617000000.hostname") is None
