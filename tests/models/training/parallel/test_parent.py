"""The parent of training processes: it passes on what they say and what they raise, stops them, and takes them with it when it dies."""

from __future__ import annotations

import json
import os
import pickle
import re
import signal
import time
from multiprocessing import Pipe
from pathlib import Path

import h5py
import numpy as np
import pytest

from data.errors import BadInput
from models.training import train
from models.training.errors import Diverged, ProcessLost
from models.training.parallel import parent, process
from models.training.parallel.messages import Failed, Line, Report, failed
from tests.data.small_brains import make_brains
from tests.models.local_run import LocalRun
from tests.models.training.parallel.forked import ForkedLauncher, fork


@pytest.fixture
def started(monkeypatch) -> list[ForkedLauncher]:
    """What starts processes here; they are forked."""
    launchers: list[ForkedLauncher] = []

    def start(address: str, count: int) -> ForkedLauncher:
        launchers.append(ForkedLauncher(address, count))
        return launchers[-1]

    monkeypatch.setattr(parent, "start_launcher", start)
    return launchers


@pytest.fixture
def two(config):
    """A config of two processes, the last batch of an epoch with a slice for one of them only."""
    config["model"]["drop_prob"] = 0.0
    config["train"].update(epochs=2, processes=2, images_every=1)
    return config


class StopAfter(LocalRun):
    """Is asked to stop when it has reported an epoch."""

    stop_requested = False

    def report(self, step, metrics):
        super().report(step, metrics)
        self.stop_requested = True


def test_run_is_told_all_that_one_process_would_tell_it(two, tmp_path, started):
    run, alone = LocalRun(tmp_path / "two"), LocalRun(tmp_path / "alone")
    result = train(two, run)
    two["train"]["processes"] = 1
    assert result == pytest.approx(train(two, alone), rel=1e-4)
    assert run.images.keys() == alone.images.keys()
    assert all(np.array_equal(run.images[key], alone.images[key]) for key in run.images if key[0] in ("truth", "mask"))
    assert "as one of 2 processes" in run.logged[0]
    assert sorted(path.name for path in run.dir.iterdir()) == sorted(path.name for path in alone.dir.iterdir())
    assert started[0].returncode == 0


def test_wish_to_stop_reaches_the_processes_and_another_number_goes_on(two, tmp_path, started):
    two["train"]["epochs"] = 300
    run = StopAfter(tmp_path / "first")
    with pytest.raises(LocalRun.Interrupted):
        train(two, run)
    assert started[0].poll() == 0
    assert min(run.reports) == 1
    assert len(run.reports) < 300
    last = max(run.reports)
    two["train"].update(epochs=last, processes=1)
    again, alone = LocalRun(tmp_path / "again", resume_from=run.checkpoint_dir), LocalRun(tmp_path / "alone")
    result = train(two, again)
    assert result == pytest.approx(train(two, alone), rel=1e-3)
    assert f"resumed in epoch {last + 1}" in again.logged[0]


@pytest.mark.parametrize("factor", [np.nan, 1e30])
def test_error_of_any_process_is_raised_in_the_parent(two, tmp_path, started, factor):
    data = make_brains(tmp_path / "data")
    with h5py.File(data / "train" / "brain_train_0001.h5", "a") as file:
        file["kspace"][...] = file["kspace"][()] * np.float32(factor)
    two["data"]["root"] = str(data)
    kind, message = (BadInput, r"\S*brain_train_0001.h5: slice \d holds NaN.*") if np.isnan(factor) else (Diverged, ".*: the loss is .*")
    with pytest.raises(kind) as caught:
        train(two, LocalRun(tmp_path / "run"))
    assert re.fullmatch(message, str(caught.value))  # one line; where it was raised is told in a note
    assert "in process" in caught.value.__notes__[0]
    assert started[0].poll() == 0


def test_process_that_is_killed_is_told_with_its_signal(two, tmp_path, started):
    class Killing(LocalRun):
        def report(self, step, metrics):
            os.kill(started[0].pids[1], signal.SIGKILL)

    two["train"]["epochs"] = 300
    with pytest.raises(ProcessLost, match=r"one of 2 training processes ended without a word: Signal 9 \(SIGKILL\) received"):
        train(two, Killing(tmp_path / "run"))
    assert started[0].poll() == 128 + signal.SIGKILL


class Ended:
    """A launcher that has ended."""

    def __init__(self, code: int) -> None:
        self.returncode = code

    def wait(self, timeout: float) -> int:
        return self.returncode


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (1, "exit code 1"),
        (128 + 9, r"Signal 9 \(SIGKILL\) received"),
        (-15, r"Signal 15 \(SIGTERM\) received"),
        (128 + 40, "Signal 40 received"),  # of real time: it has no name
        (255, "exit code 255"),
    ],
)
def test_lost_process_is_told_whatever_the_launcher_ends_with(tmp_path, code, told):
    lost = parent.Parent(LocalRun(tmp_path), 2, Ended(code))._lost()
    assert re.search(f"without a word: {told}. What it printed", str(lost))


@pytest.mark.parametrize("dies", [False, True])
def test_what_the_other_processes_have_still_said_is_passed_on_when_one_fails(tmp_path, dies):
    ours, theirs = zip(Pipe(), Pipe(), strict=True)
    run = LocalRun(tmp_path)
    listening = parent.Parent(run, 2, Ended(1))
    listening._connections = list(ours)
    theirs[0].send(Line("last words"))
    theirs[0].send(Report(3, {"val/loss": 0.5}))
    theirs[1].send(failed(BadInput("a message"), "process 2 of 2"))
    if dies:
        theirs[0].close()
    with pytest.raises(ProcessLost if dies else BadInput):
        listening._hear(ours[1])
    assert (run.logged, run.reports) == (["last words"], {3: {"val/loss": 0.5}})


def test_processes_die_with_a_killed_parent(two, tmp_path, started):
    two["train"]["epochs"] = 3000

    class Telling(LocalRun):
        def report(self, step, metrics):
            (tmp_path / "aside").write_text(json.dumps(started[0].pids))
            (tmp_path / "aside").rename(tmp_path / "pids")

    pid = fork(lambda: train(two, Telling(tmp_path / "run")))
    wait_until(lambda: (tmp_path / "pids").exists())
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    pids = json.loads((tmp_path / "pids").read_text())
    wait_until(lambda: not any(map(is_alive, pids)))


def wait_until(holds) -> None:
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_processes_are_deaf_to_signals_that_the_parent_obeys():
    def work() -> None:
        process.ignore_warnings()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP):
            os.kill(os.getpid(), number)

    _, status = os.waitpid(fork(work), 0)
    assert os.waitstatus_to_exitcode(status) == 0


class Odd(Exception):
    """Cannot be copied."""

    def __init__(self, first: int, second: int) -> None:
        super().__init__(f"{first} and {second}")


def test_errors_travel_whole_or_as_their_text():
    copied: Failed = pickle.loads(pickle.dumps(failed(OSError(28, "No space left on device", "a/b"), "process 2 of 2")))
    assert (copied.error.errno, copied.error.filename) == (28, "a/b")
    assert copied.error.__notes__[0].startswith("in process 2 of 2:\n")
    odd = failed(Odd(1, 2), "process 1 of 2").error
    assert (type(odd), str(odd)) == (RuntimeError, "Odd: 1 and 2")
