"""Who may compute a run: races, restarts, wishes, and what is left of earlier attempts."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest

from orchestrator.store import files
from orchestrator.store.events import Arrived, Ended, Left, Started
from orchestrator.store.files import make_dir
from orchestrator.store.layout import GridPaths, RunPaths
from orchestrator.store.process import current_process
from orchestrator.store.states import State
from orchestrator.worker.claim import Chance, Claimant, Claims, StartFile, Wish, continued, look
from orchestrator.worker.outcome import End, Result, write_end
from orchestrator.worker.place import Place, read_place
from orchestrator.worker.submission import Row

RUN = "0123456789abcdef"
NOOP = "def main(config, run):\n    return {'n': 1}"


@pytest.fixture
def run(tmp_path: Path) -> RunPaths:
    run = GridPaths(tmp_path).run(RUN)
    make_dir(run.dir)
    return run


def claims(tmp_path: Path, place: Place) -> Claims:
    return Claims(Claimant(process=current_process(), place=place, token="t"), tmp_path)


def task(index: int = 0, restart: int = 0, job_id: str = "7") -> Place:
    return Place(index=index, restart=restart, job_id=job_id)


def test_the_first_claim_wins_and_the_second_uses_its_folder_again(tmp_path: Path, run: RunPaths) -> None:
    first, second = claims(tmp_path, task(0)), claims(tmp_path, task(1))
    assert first.take(run, Row(run=RUN, attempt=1), 1.0) is not None
    assert second.take(run, Row(run=RUN, attempt=1), 2.0) is None
    assert second.take(run, Row(run=RUN, attempt=2), 3.0) is not None
    first.discard()
    second.discard()
    assert sorted(path.name for path in tmp_path.iterdir()) == [RUN[:2]]


def test_a_rename_that_fails_and_yet_happened_is_a_claim(tmp_path: Path, run: RunPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    def late_error(source: Path, target: Path) -> None:
        os.rename(source, target)
        raise OSError(116, "Stale file handle")

    monkeypatch.setattr("orchestrator.worker.claim.publish_dir", late_error)
    assert claims(tmp_path, task()).take(run, Row(run=RUN, attempt=1), 1.0) is not None


def test_a_full_disk_is_told_and_claims_nothing(tmp_path: Path, run: RunPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(operation: str, path: Path) -> None:
        if operation == "rename" and path.name == "attempt-1":
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "check_point", full)
    with pytest.raises(OSError, match="No space"):
        claims(tmp_path, task()).take(run, Row(run=RUN, attempt=1), 1.0)
    assert not run.attempt(1).dir.exists()


def finish(run: RunPaths, state: State, number: int = 1, restart: int = 0) -> None:
    paths = run.attempt(number, restart)
    make_dir(paths.dir)
    write_end(paths, End(at=1.0, run=RUN, attempt=number, restart=restart, state=state))
    if state is State.COMPLETED:
        paths.result.write_bytes(msgspec.json.encode(Result(run=RUN, attempt=number, restart=restart)))


@pytest.mark.parametrize(
    ("ended", "place", "chance"),
    [
        (None, task(), Chance.TAKEN),
        (None, task(restart=1), Chance.CONTINUE),
        (None, task(restart=1, index=3), Chance.TAKEN),
        (None, task(restart=1, job_id="8"), Chance.TAKEN),
        (State.INTERRUPTED, task(restart=1), Chance.CONTINUE),
        (State.INTERRUPTED, task(), Chance.TAKEN),
        (State.FAILED, task(restart=1), Chance.CLOSED),
        (State.COMPLETED, task(restart=1), Chance.CLOSED),
        (State.CANCELLED, task(restart=2), Chance.CLOSED),
    ],
)
def test_an_attempt_that_exists_is_continued_only_by_its_own_restarted_task(
    tmp_path: Path, run: RunPaths, ended: State | None, place: Place, chance: Chance
) -> None:
    row = Row(run=RUN, attempt=1)
    claims(tmp_path, task()).take(run, row, 1.0)
    if ended is not None:
        finish(run, ended)
    assert look(run, row, place) is chance


def test_nothing_is_started_that_is_done_superseded_or_not_wanted(run: RunPaths) -> None:
    row = Row(run=RUN, attempt=2)
    assert look(run, row, task()) is Chance.FREE
    finish(run, State.FAILED, number=1)
    assert look(run, row, task()) is Chance.FREE
    finish(run, State.FAILED, number=3)
    assert look(run, row, task()) is Chance.CLOSED
    assert look(run, Row(run=RUN, attempt=4), task()) is Chance.FREE
    finish(run, State.COMPLETED, number=1)
    assert look(run, Row(run=RUN, attempt=4), task()) is Chance.CLOSED


@pytest.mark.parametrize(
    ("wish", "chance"),
    [
        (Wish(wish="cancel"), Chance.CLOSED),
        (Wish(wish="prune"), Chance.CLOSED),
        (Wish(wish="cancel", through=1), Chance.FREE),
        (Wish(wish="cancel", through=2), Chance.CLOSED),
        (Wish(wish="requeue"), Chance.FREE),
        (Wish(wish="requeue", through=2), Chance.CLOSED),
    ],
)
def test_a_wish_is_read_before_a_claim(run: RunPaths, wish: Wish, chance: Chance) -> None:
    run.stop.write_bytes(msgspec.json.encode(wish))
    assert look(run, Row(run=RUN, attempt=2), task()) is chance


def test_a_restart_continues_from_the_newest_checkpoint_and_remembers_the_chain(tmp_path: Path, run: RunPaths) -> None:
    row = Row(run=RUN, attempt=2, resume="attempt-1")
    for number, restart in ((1, 0), (2, 0), (2, 1), (2, 2)):
        start = claims(tmp_path, task(restart=restart)).take(run, msgspec.structs.replace(row, attempt=number), 1.0, restart=restart)
        assert start is not None
        make_dir(run.attempt(number, restart).checkpoint)
        if restart != 1:  # attempt-2.1 dies before it has written one, but for a file that is still aside
            (run.attempt(number, restart).checkpoint / "model.pt").touch()
        (run.attempt(number, restart).checkpoint / ".model.pt.tmp").touch()
    assert [path.dir.name for path in continued(run, 2, 2)] == ["attempt-1", "attempt-2", "attempt-2.2"]


def test_a_resume_that_leads_out_of_the_run_is_not_followed(tmp_path: Path, run: RunPaths) -> None:
    (tmp_path / "elsewhere" / "checkpoint").mkdir(parents=True)
    (tmp_path / "elsewhere" / "checkpoint" / "x").touch()
    start = claims(tmp_path, task()).take(run, Row(run=RUN, attempt=1, resume="../../elsewhere"), 1.0)
    assert start is not None
    assert start.resume == ""


@pytest.mark.parametrize(
    ("environ", "place"),
    [
        ({"MRSWEEP_INDEX": "3", "SLURM_JOB_ID": "9"}, Place(index=3)),
        ({"SLURM_JOB_ID": "9"}, Place(index=0, job_id="9")),
        (
            {
                "SLURM_JOB_ID": "9",
                "SLURM_ARRAY_JOB_ID": "8",
                "SLURM_ARRAY_TASK_ID": "5",
                "SLURM_RESTART_COUNT": "2",
                "SLURM_JOB_END_TIME": "77",
            },
            Place(index=5, job_id="8", restart=2, end_time=77.0),
        ),
    ],
)
def test_the_place_comes_from_the_environment(environ: dict[str, str], place: Place) -> None:
    assert read_place(environ) == place


def starts(farm: Any) -> Counter[tuple[str, int, int]]:
    return Counter((line.run, line.attempt, line.restart) for line in farm.lines() if isinstance(line, Started))


@pytest.mark.parametrize(("workers", "runs"), [(4, 60), pytest.param(8, 1000, marks=pytest.mark.slow)])
def test_racing_workers_compute_every_run_once(farm: Any, workers: int, runs: int) -> None:
    farm.write("entries.py", "def main(config, run):\n    (run.dir / 'once').open('x').close()\n    return {'n': config['n']}")
    for number in range(runs):
        farm.add(entry="entries:main", config={"n": number})
    farm.submit()
    assert [worker.wait(120) for worker in [farm.start(index) for index in range(workers)]] == [0] * workers
    assert sorted(starts(farm).values()) == [1] * runs
    assert {ended.metrics["n"] for ended in farm.ended() if ended.state is State.COMPLETED} == set(range(runs))
    assert not list(farm.submission.dir.glob("claim-*"))
    assert not list(farm.grid.dir.rglob(".*.????????"))


def test_a_task_of_an_array_computes_its_own_row_and_no_other(farm: Any) -> None:
    farm.write("entries.py", NOOP)
    for _ in range(3):
        farm.add(entry="entries:main")
    farm.submit(listed=False)
    for index in (2, 2, 0):
        farm.work(SLURM_JOB_ID="5", SLURM_ARRAY_JOB_ID="4", SLURM_ARRAY_TASK_ID=str(index))
    assert sorted(int(ended.run, 16) for ended in farm.ended()) == [0, 2]


def test_a_surplus_task_and_one_with_nothing_to_do_leave_with_a_word(farm: Any) -> None:
    farm.write("entries.py", NOOP)
    farm.add(entry="entries:main")
    farm.submit()
    assert farm.work() == 0
    assert farm.work(index=1) == 0
    first, _, last = farm.journal(1)
    assert (type(first), last.reason) == (Arrived, "nothing left to compute")


def test_a_packed_task_takes_as_many_as_its_pack_and_no_more(farm: Any) -> None:
    farm.write("entries.py", NOOP)
    for _ in range(5):
        farm.add(entry="entries:main")
    farm.submit(pack={"per_task": 2, "per_gpu": 1})
    farm.work(SLURM_JOB_ID="5", SLURM_ARRAY_TASK_ID="0")
    assert len(farm.ended()) == 2
    farm.work(index=1)  # a local worker goes on until the list is empty
    assert len(farm.ended()) == 5


def test_no_run_is_started_that_cannot_end_in_time(farm: Any) -> None:
    farm.write("entries.py", NOOP)
    for _ in range(3):
        farm.add(entry="entries:main")
    farm.submit(pack={"per_task": 3, "per_gpu": 1}, resources={"time_min": 60})
    farm.work(SLURM_JOB_ID="5", SLURM_ARRAY_TASK_ID="0", SLURM_JOB_END_TIME="1000")
    assert len(farm.ended()) == 1  # the first is what the task was made for
    assert isinstance(farm.journal()[-1], Left)
    assert "no time" in farm.journal()[-1].reason


def test_a_run_without_its_derived_manifest_is_found_in_the_grids(farm: Any) -> None:
    farm.write("entries.py", NOOP)
    farm.add(entry="entries:main")
    farm.submit()
    farm.grid.run(farm.manifests[0].id).manifest.write_bytes(b'{"id": "torn')
    farm.grid.manifest.write_bytes(msgspec.json.encode(farm.manifests[0]) + b"\n")
    farm.work()
    assert farm.ended()[0].state is State.COMPLETED


def test_a_worker_whose_files_never_show_says_so_in_one_line(farm: Any) -> None:
    farm.add(entry="entries:main")
    farm.submit()
    farm.submission.table.unlink()
    patch = "from orchestrator.worker import starting\nstarting.read_submission.__kwdefaults__['visible_s'] = 0.2"
    worker = farm.start(code=patch)
    output, _ = worker.communicate(timeout=20)
    assert worker.returncode == 2
    assert len(output.splitlines()) == 1
    assert "table.jsonl is missing" in output


def test_start_json_names_the_owner(farm: Any) -> None:
    farm.write("entries.py", NOOP)
    farm.add(entry="entries:main")
    farm.submit()
    farm.work(SLURM_JOB_ID="5", SLURM_ARRAY_TASK_ID="0", SLURM_CLUSTER_NAME="test")
    start = msgspec.json.decode(farm.attempt().start.read_bytes(), type=StartFile)
    arrived = farm.journal()[0]
    assert (start.job_id, start.cluster, start.index, start.token) == ("5", "test", 0, "grid-1")
    assert (start.pid, start.host, start.boot_id, start.start_time) == (arrived.pid, arrived.host, arrived.boot_id, arrived.start_time)
    assert isinstance(farm.lines()[3], Ended)
