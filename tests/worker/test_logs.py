"""Logs → causes: the exception or line that tells why, and not what follows from it, quotes it or warns of it."""

from __future__ import annotations

import time

import pytest

from orchestrator.store.states import Cause
from orchestrator.worker.logs import TAIL_BYTES, classify_log, readable
from orchestrator.worker.trailers import since

BEGIN = "Traceback (most recent call last):\n"


def raised(message: str, *, source: str = "step()", function: str = "train", line: int = 7) -> str:
    return f'{BEGIN}  File "/project/train.py", line {line}, in {function}\n    {source}\n{message}\n'


def of_rank(rank: int, text: str) -> str:
    return "".join(f"[rank{rank}]: {line}\n" for line in text.splitlines())


OOM = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB"
LOGS = [
    ("", Cause.ERROR, ""),
    ("epoch 3\n\nlast words\n", Cause.ERROR, "last words"),
    ("x" * 10**6, Cause.ERROR, "x" * 300),
    (raised("ModuleNotFoundError: No module named 'x'"), Cause.IMPORT_ERROR, "ModuleNotFoundError: No module named 'x'"),
    (f"{OOM}\nwandb: syncing\n", Cause.GPU_OOM, OOM),
    ("cp: error writing 'x': No space left on device", Cause.DISK_FULL, None),
    ("terminate called after throwing an instance of 'std::bad_alloc'", Cause.HOST_OOM, None),
    ("slurm: Xid (PCI:0000:3b:00): 79, GPU has fallen off the bus", Cause.GPU_FAULT, None),
    (raised("KeyError: 'mask'", source="raise RuntimeError('CUDA out of memory')"), Cause.ERROR, "KeyError: 'mask'"),
    ("WARNING: CUDA out of memory, retrying with batch 1\n" + raised("KeyError: 'mask'"), Cause.ERROR, "KeyError: 'mask'"),
    ("UserWarning: CUDA out of memory was caught\nusage: train.py --lr LR", Cause.ERROR, "usage: train.py --lr LR"),
    (raised(OOM) + "micro batch is now 4\n" + "epoch 1 done\n" * 60 + raised("IndexError: 3"), Cause.ERROR, "IndexError: 3"),
    (raised(OOM) + "epoch 1 done\n" * 60 + "run.sh: line 3:  4012 Killed  python train.py\n", Cause.HOST_OOM, None),
    (raised("ValueError: odd") + "slurmstepd: error: Detected 1 oom_kill event in StepId=7.0.\n", Cause.HOST_OOM, None),
    (raised(OOM) + "slurmstepd: error: Detected 1 oom_kill event in StepId=7.0.\n", Cause.GPU_OOM, None),
    (raised("ValueError: Expected parameter loc, but found invalid values:\ntensor([nan, nan])"), Cause.DIVERGED, None),
    (raised(OOM) + "slurmstepd: error: *** JOB 7 ON n1 CANCELLED AT 2026-01-31T12:00:00 DUE TO TIME LIMIT ***\n", Cause.TIMEOUT, None),
    (raised(OOM) + "slurmstepd: error: *** STEP 7.0 ON n1 CANCELLED AT 2026-01-31T12:00:00 ***\n", Cause.GPU_OOM, None),
    (raised("KeyError: 3") + "Exception ignored in: <function f>\n" + raised("FileNotFoundError: x"), Cause.ERROR, "KeyError: 3"),
    (
        "Exception in thread Thread-1 (results_loop):\n"
        + raised(OOM)
        + raised("RuntimeError: Some background workers are no longer alive"),
        Cause.GPU_OOM,
        None,
    ),
    ("cp: error writing 'a': No space left on device\n" + raised("subprocess.CalledProcessError: Command 'cp'"), Cause.DISK_FULL, None),
    (
        raised("RuntimeError: Caught KeyError in DataLoader worker process 0.").rstrip() + "\nOriginal " + raised("KeyError: 'mask'"),
        Cause.ERROR,
        "KeyError: 'mask'",
    ),
    ("│ ❱ 12 │ raise RuntimeError('CUDA out of memory') │\nusage", Cause.ERROR, "usage"),
    ("+ echo CUDA out of memory\nusage", Cause.ERROR, "usage"),
    (
        raised("OSError: Can't write data (file write failed: time = Sat\n, filename = 'a.h5', errno = 28, error message = 'x')"),
        Cause.DISK_FULL,
        None,
    ),
]


@pytest.mark.parametrize(("log", "cause", "message"), LOGS, ids=[f"{place}-{cause.value}" for place, (_, cause, _) in enumerate(LOGS)])
def test_a_log_has_its_cause_and_the_line_that_tells_it(log: str, cause: Cause, message: str | None) -> None:
    diagnosis = classify_log(log)
    assert diagnosis.cause is cause
    assert message is None or diagnosis.message == message
    assert len(diagnosis.excerpt) <= 2000
    assert all(line.startswith("log: ") and len(line) <= 200 for line in diagnosis.evidence)


NCCL = "torch.distributed.DistBackendError: NCCL communicator was aborted on rank 0"
RANKS = [
    (of_rank(1, raised(OOM)) + of_rank(0, raised(NCCL)), Cause.GPU_OOM),
    (of_rank(0, raised(NCCL)) + of_rank(1, raised(OOM)), Cause.GPU_OOM),
    (of_rank(2, raised("FloatingPointError: loss is nan")) + of_rank(1, raised(OOM)), Cause.DIVERGED),  # the first
    (of_rank(1, raised(OOM)) + "slurmstepd: error: *** JOB 7 ON n1 CANCELLED AT 2026-01-31T12:00:00 DUE TO TIME LIMIT ***", Cause.GPU_OOM),
    (
        of_rank(2, raised("ValueError: odd"))
        + of_rank(1, raised(OOM))
        + "Root Cause (first observed failure):\n[0]:\n  rank      : 1 (local_rank: 1)\n",
        Cause.GPU_OOM,
    ),
]


@pytest.mark.parametrize(("log", "cause"), RANKS)
def test_of_several_ranks_the_one_that_failed_first_tells(log: str, cause: Cause) -> None:
    assert classify_log(log).cause is cause


def test_ranks_whose_lines_are_mixed_are_told_apart() -> None:
    one, two = (of_rank(rank, raised(text)).splitlines() for rank, text in ((1, OOM), (0, NCCL)))
    mixed = "\n".join(line for pair in zip(two, one, strict=True) for line in pair)
    assert classify_log(mixed).message == OOM.removeprefix("torch.")
    assert "[rank" not in classify_log(mixed).excerpt


def test_the_signature_of_a_log_is_that_of_its_exception() -> None:
    first = classify_log(raised("ValueError: slice 3 of /runs/a/x.h5", line=7))
    second = classify_log("epoch 9\n" + raised("ValueError: slice 41 of /data/b/x.h5", line=99))
    other = classify_log(raised("ValueError: slice 3 of /runs/a/x.h5", function="validate"))
    assert first.signature == second.signature
    assert first.signature != other.signature


def test_escape_sequences_and_progress_bars_are_left_out() -> None:
    log = "epoch 1: 10%\repoch 1: 20%\r\x1b[31mRuntimeError: \x1b[1mCUDA out of memory\x1b[0m\x1b]0;title\x07\n\x00\x07"
    diagnosis = classify_log(log)
    assert diagnosis.message == "RuntimeError: CUDA out of memory"
    assert not set(diagnosis.excerpt) & {"\x1b", "\x07", "\x00", "\r"}


HOSTILE = {
    "one line": "x" * 10**7,
    "spaces": " " * 10**6,
    "bars": "|" * 10**6,
    "headers": BEGIN * 10**5,
    "headers on one line": BEGIN.strip() * 10**5,
    "frames": '  File "a", line 1, in f\n' * 10**5,
    "open quotes": '  File "' * 10**5,
    "ranks": "".join(f"[rank{rank}]: {BEGIN}" for rank in range(5000)),
    "many exceptions": raised("KeyError: 3") * 2000,
    "one endless chain": (raised("KeyError: 3") + "\nDuring handling of the above exception, another exception occurred:\n\n") * 2000,
    "escapes": "\x1b[" * 10**6,
    "titles": "\x1b]" * 10**6,
    "binary": bytes(range(256)).decode("latin-1") * 5000,
    "half phrases": "loss grad_norm unable to open DataLoader worker " * 10**5,
    "paths": "ValueError: " + "/a" * 10**6,
    "stars": "*** JOB CANCELLED AT " * 10**5,
}


@pytest.mark.parametrize("log", HOSTILE.values(), ids=HOSTILE)
def test_no_log_takes_long_or_makes_a_long_diagnosis(log: str) -> None:
    began = time.process_time()
    diagnosis = classify_log(log)
    assert time.process_time() - began < 3.0
    assert len(diagnosis.message) <= 300 >= len(diagnosis.signature)
    assert len(diagnosis.excerpt) <= 2000


def test_only_the_end_of_a_log_is_looked_at() -> None:
    assert sum(map(len, readable("CUDA out of memory\n" + "x" * TAIL_BYTES))) == TAIL_BYTES
    assert classify_log("CUDA out of memory\n" + "epoch\n" * TAIL_BYTES).cause is Cause.ERROR


def test_what_slurm_wrote_of_an_earlier_start_of_the_task_is_left_out() -> None:
    old = "slurmstepd: error: *** JOB 7 ON n1 CANCELLED AT 2026-01-31T12:00:00 DUE TO PREEMPTION ***"
    began = time.mktime(time.strptime("2026-01-31T12:05:00", "%Y-%m-%dT%H:%M:%S"))
    assert since(["a", old, "b"], began) == ["b"]
    assert since(["a", old, "b"], began - 600) == ["a", old, "b"]
    assert since(["a", old, "b"], None) == ["a", old, "b"]
