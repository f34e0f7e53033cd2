"""What workers wrote: news are what the records lack, and a success needs its proof on disk."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import pytest

from orchestrator.store.events import Arrived, Ended, Intent, Left, Started
from orchestrator.store.layout import GridPaths
from orchestrator.store.records import Records
from orchestrator.store.states import Cause, State
from orchestrator.worker.journals import read_journals
from orchestrator.worker.outcome import sha256

RUN = "0123456789abcdef"
PROOF = b'{"run":"0123456789abcdef","attempt":1}'
ARRIVED = Arrived(at=1.0, host="node1", boot_id="b", pid=7, start_time=0.5, index=0)
STARTED = Started(at=2.0, run=RUN, attempt=1, token="t1", index=0, host="node1")
COMPLETED = Ended(at=3.0, run=RUN, attempt=1, state=State.COMPLETED, sha256=sha256(PROOF))
FAILED = Ended(at=3.0, run=RUN, attempt=1, state=State.FAILED, cause=Cause.ERROR)


@pytest.fixture
def grid(tmp_path: Path) -> GridPaths:
    paths = GridPaths(tmp_path / "runs" / "a grid's")
    paths.submission("t1").dir.mkdir(parents=True)
    paths.run(RUN).attempt(1).dir.mkdir(parents=True)
    return paths


def queued(*events: Started | Ended) -> Records:
    intent = Intent(at=0.0, token="t1", runs=((RUN, 1),), tasks=1, max_parallel=1)
    return Records().apply([intent, *events])


def write_journal(grid: GridPaths, *lines: object) -> None:
    content = b"".join(msgspec.json.encode(line) + b"\n" for line in lines)
    grid.submission("t1").journal(0).write_bytes(content)


def test_starts_and_ends_are_news_and_the_rest_is_passed_over(grid: GridPaths) -> None:
    write_journal(grid, ARRIVED, STARTED, FAILED, Left(at=4.0, reason="done"))
    assert read_journals(grid, queued()).events == (STARTED, FAILED)


def test_what_the_ledger_has_is_no_news(grid: GridPaths) -> None:
    write_journal(grid, ARRIVED, STARTED, FAILED)
    assert read_journals(grid, queued(STARTED)).events == (FAILED,)


def test_a_success_is_news_with_the_very_result_that_its_worker_saw(grid: GridPaths) -> None:
    grid.run(RUN).attempt(1).result.write_bytes(PROOF)
    write_journal(grid, ARRIVED, STARTED, COMPLETED)
    assert read_journals(grid, queued()).events == (STARTED, COMPLETED)


@pytest.mark.parametrize("proof", [None, b"", PROOF[:-1], PROOF.replace(b"1}", b"2}")])
def test_a_success_without_that_result_is_no_news(grid: GridPaths, proof: bytes | None) -> None:
    if proof is not None:
        grid.run(RUN).attempt(1).result.write_bytes(proof)
    write_journal(grid, ARRIVED, STARTED, COMPLETED)
    assert read_journals(grid, queued()).events == (STARTED,)


def test_a_submission_whose_folder_was_removed_tells_nothing(grid: GridPaths) -> None:
    shutil.rmtree(grid.submission("t1").dir)
    assert read_journals(grid, queued()).events == ()
