"""What files say between two looks: reports by seek, resumed runs, damaged lines, memory."""

from __future__ import annotations

import math
from pathlib import Path

import msgspec
import pytest

from orchestrator.live.glimpse import TAIL_BYTES, Glimpse, Glimpses, merge, metric_names, parse_reports
from orchestrator.store.layout import GridPaths
from orchestrator.store.records import Attempt, Record
from orchestrator.store.states import State
from orchestrator.worker.telemetry import Heartbeat

RUN = "0123456789abcdef"
REPORTS = [
    (b"", {}),
    (b'{"step": 1, "loss": 2.0}\n', {1.0: {"loss": 2.0}}),
    (b'{"step": 1, "loss": 2.0}\n{"step": 2, "lo', {1.0: {"loss": 2.0}}),  # the last line is being written
    (b'{"step": 1, "loss": 2.0}\nnonsense\n\n[1]\n{"step": 3, "loss": 1}\n', {1.0: {"loss": 2.0}, 3.0: {"loss": 1}}),
    (b'{"step": 2, "a": 1}\n{"step": 1, "a": 2}\n{"step": 2, "b": 3}\n', {1.0: {"a": 2}, 2.0: {"a": 1, "b": 3}}),
    (b'{"step": 1, "val": {"ssim": 0.5}}\n', {1.0: {"val/ssim": 0.5}}),
    (b'{"loss": 2.0}\n', {0.0: {"loss": 2.0}}),
    (b'{"step": "first", "loss": 2.0}\n', {}),
]


@pytest.mark.parametrize(("content", "reports"), REPORTS)
def test_reports_are_read_line_by_line(content: bytes, reports: dict[float, dict[str, object]]) -> None:
    assert parse_reports(content, whole=True) == reports


def test_what_an_older_attempt_reported_beyond_is_superseded() -> None:
    older, newer = {step: {"loss": step} for step in (1.0, 2.0, 3.0)}, {2.0: {"loss": 9.0}}
    assert merge(older, newer) == {1.0: {"loss": 1.0}, 2.0: {"loss": 9.0}}
    assert merge(older, {}) == older


def test_what_is_superseded_is_so_metric_by_metric_as_in_tables() -> None:
    older = {1.0: {"loss": 5, "val": 1}, 2.0: {"loss": 4}, 3.0: {"loss": 3, "val": 2}}
    newer = {2.5: {"loss": 3}, 4.0: {"loss": 2, "val": 3}}
    merged = merge(older, newer)
    assert list(merged) == [1.0, 2.0, 2.5, 3.0, 4.0]
    assert (Glimpse(merged).curve("loss"), Glimpse(merged).curve("val")) == ([5, 4, 3, 2], [1, 2, 3])
    assert merge(older, {1.0: {"loss": 9}}) == {1.0: {"loss": 9}}  # it began from nothing


def test_no_more_files_are_kept_than_some_screens_hold(paths: GridPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.live.glimpse.MOST_KEPT", 3)
    for number in range(1, 6):
        write(paths, number, f'{{"step": {number}, "loss": 1}}\n')
    glimpses, parsed = Glimpses(paths), list[bytes]()
    monkeypatch.setattr("orchestrator.live.glimpse.parse_reports", lambda content, whole: parsed.append(content) or {})
    for numbers in ((1,), (2,), (3,), (1,), (4,), (1,)):  # 4 takes the place of 2, as 1 was wanted since
        glimpses.of([record(*numbers)])
    assert len(parsed) == 4
    glimpses.of([record(2)])
    assert len(parsed) == 5
    assert len(glimpses._kept) == 3


def test_curves_hold_numbers_only() -> None:
    glimpse = Glimpse({1.0: {"loss": "nan", "note": "warm-up"}, 2.0: {"loss": 1, "psnr": 30.5}})
    assert glimpse.names == ["loss", "psnr"]
    values = glimpse.curve("loss")
    assert math.isnan(values[0]) and values[1:] == [1.0]
    assert glimpse.curve("other") == []
    assert metric_names({"a": glimpse}, "psnr") == ["psnr", "loss"]


@pytest.fixture
def paths(tmp_path: Path) -> GridPaths:
    return GridPaths(tmp_path / "g")


def write(paths: GridPaths, number: int, text: str) -> Path:
    attempt = paths.run(RUN).attempt(number)
    attempt.dir.mkdir(parents=True, exist_ok=True)
    attempt.metrics.write_text(text)
    return attempt.metrics


def record(*numbers: int, state: State = State.RUNNING, **last: float) -> Record:
    attempts = tuple(Attempt(number=number, started_at=1.0) for number in numbers)
    attempts = (*attempts[:-1], msgspec.structs.replace(attempts[-1], **last)) if last else attempts
    return Record(id=RUN, state=state, attempts=attempts)


def test_resumed_runs_show_all_their_attempts(paths: GridPaths) -> None:
    write(paths, 1, '{"step": 1, "loss": 4}\n{"step": 2, "loss": 3}\n')
    write(paths, 2, '{"step": 2, "loss": 2}\n')
    assert Glimpses(paths).of([record(1, 2)])[RUN].curve("loss") == [4.0, 2.0]


def test_only_the_end_of_a_long_file_is_read(paths: GridPaths) -> None:
    file = write(paths, 1, "".join(f'{{"step": {step}, "loss": {step}}}\n' for step in range(20_000)))
    assert file.stat().st_size > 4 * TAIL_BYTES
    glimpse = Glimpses(paths).of([record(1)])[RUN]
    assert glimpse.step == 19_999 and len(glimpse.reports) == 400


def test_what_has_not_changed_is_not_read_again(paths: GridPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(paths, 1, '{"step": 1, "loss": 4}\n')
    glimpses, parsed = Glimpses(paths), list[bytes]()
    monkeypatch.setattr("orchestrator.live.glimpse.parse_reports", lambda content, whole: parsed.append(content) or {})
    for _ in range(3):
        glimpses.of([record(1)])
    assert len(parsed) == 1
    with file.open("a") as stream:
        stream.write('{"step": 2, "loss": 3}\n')
    glimpses.of([record(1)])
    assert len(parsed) == 2


def test_memory_comes_from_the_heartbeat_and_afterwards_from_the_record(paths: GridPaths) -> None:
    write(paths, 1, "")
    beat = Heartbeat(counter=1, at=1.0, pss_gb=3.5, gpu_gb=11.0, cpu_s=1.0)
    paths.run(RUN).attempt(1).heartbeat.write_bytes(msgspec.json.encode(beat))
    glimpses = Glimpses(paths)
    assert glimpses.of([record(1)])[RUN][1:3] == (3.5, 11.0)
    ended = record(1, state=State.FAILED, ended_at=9.0, peak_mem_gb=4.5)
    assert glimpses.of([ended])[RUN][1:3] == (4.5, None)


def test_a_run_that_ended_shows_its_selected_step_however_far_back_and_a_computing_one_the_newest(paths: GridPaths) -> None:
    write(paths, 1, "".join(f'{{"step": {step}, "loss": {step}, "psnr": {-step}}}\n' for step in range(500)))
    ended = msgspec.structs.replace(record(1, state=State.COMPLETED), best_step=7, best=7, metrics={"test/psnr": 30.0})
    glimpse = Glimpses(paths).of([ended])[RUN]
    assert (glimpse.step, glimpse.newest, glimpse.value("psnr"), glimpse.value("test/psnr")) == (7, 499, -7, 30.0)
    assert glimpse.value("other") is None
    again = Glimpses(paths).of([msgspec.structs.replace(ended, state=State.RUNNING)])[RUN]
    assert (again.step, again.value("psnr"), again.value("test/psnr")) == (499, -499, None)


@pytest.mark.parametrize(
    ("glimpse", "is_broken"),
    [
        (Glimpse({1.0: {"loss": "nan"}, 2.0: {"loss": 1.0}}), False),
        (Glimpse({1.0: {"loss": 1.0}, 2.0: {"loss": "nan"}}), True),
        (Glimpse({1.0: {"loss": 1.0}}, last="inf"), True),
        (Glimpse(final={"loss": "nan"}), True),
        (Glimpse({1.0: {"loss": 1.0, "psnr": "nan"}}), False),
        (Glimpse(), False),
    ],
)
def test_a_run_is_broken_whose_objective_ended_nan_or_infinite(glimpse: Glimpse, is_broken: bool) -> None:
    assert glimpse.is_broken("loss") is is_broken


def test_runs_without_files_show_nothing(paths: GridPaths) -> None:
    assert Glimpses(paths).of([record(1), Record(id="f" * 16)]) == {RUN: Glimpse()}
