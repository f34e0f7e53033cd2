"""How a worker starts its runs: forked from a warm parent, or in fresh interpreters; torch, loaders and threads in the child."""

from __future__ import annotations

import os
import time
from collections import Counter
from pathlib import Path
from typing import Any

import h5py
import pytest

from orchestrator.cluster.resources import Resources
from orchestrator.store import files
from orchestrator.store.events import Ended, Left, Started, decode_journal_line
from orchestrator.store.states import Cause, State
from orchestrator.worker.diary import Diary

TORCH_ENTRIES = {
    "an_operation_at_import": "import torch\nTOTAL = float(torch.randn(2000, 2000).sum())\ndef main(config, run):\n    return {'n': 1}",
    "cuda_at_import": "import torch\nCUDA = torch.cuda.is_available()\ndef main(config, run):\n    return {'n': 1}",
}


@pytest.mark.parametrize("start", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_entries_that_use_torch_while_they_are_imported_complete(farm: Any, start: str) -> None:
    for name, code in TORCH_ENTRIES.items():
        farm.write(f"{name}.py", code)
        for _ in range(2):
            farm.add(entry=f"{name}:main")
    farm.submit(preload=("torch", "numpy", "h5py", "no_such_module"), start=start, resources=Resources(cpus=2))
    assert farm.work(timeout_s=120) == 0
    assert [ended.state for ended in farm.ended()] == [State.COMPLETED] * 4
    ready = farm.journal()[1]
    preloaded = ready.preloaded
    assert ready.start == ("fork" if start == "fork" else "spawn: the grid asks for it")
    assert preloaded["torch"].startswith("2.")
    assert preloaded["no_such_module"].startswith("not loaded: ModuleNotFoundError")


def test_dataloader_workers_and_threads_work_in_a_forked_child(farm: Any) -> None:
    code = """
    import threading, torch
    from torch.utils.data import DataLoader
    def main(config, run):
        loader = DataLoader(torch.arange(64.0), batch_size=4, num_workers=2, persistent_workers=True)
        totals = []
        threads = [threading.Thread(target=lambda: totals.append(sum(batch.sum().item() for batch in loader))) for _ in range(1)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        a = torch.randn(300, 300)
        return {"sum": totals[0], "threads": torch.get_num_threads(), "ok": bool((a @ a).isfinite().all())}
    """
    ended = farm.compute(code, submit={"preload": ("torch",), "resources": Resources(cpus=2)})
    assert ended.metrics == {"sum": 2016.0, "threads": min(2, len(os.sched_getaffinity(0))), "ok": 1}, ended.message


def test_a_dataloader_child_that_is_killed_is_worker_oom(farm: Any) -> None:
    code = """
    import os, signal, torch
    from torch.utils.data import DataLoader, Dataset
    class Deadly(Dataset):
        def __len__(self): return 8
        def __getitem__(self, place): os.kill(os.getpid(), signal.SIGKILL)
    def main(config, run):
        list(DataLoader(Deadly(), num_workers=1))
    """
    ended = farm.compute(code, submit={"preload": ("torch",)})
    assert (ended.state, ended.cause) == (State.FAILED, Cause.WORKER_OOM)


def test_a_library_that_starts_threads_when_it_is_preloaded_means_fresh_interpreters_said_once(farm: Any) -> None:
    farm.write("threaded.py", "import threading, time\nthreading.Thread(target=time.sleep, args=(600,), daemon=True).start()")
    farm.write("entries.py", "import threading\ndef main(config, run):\n    return {'threads': threading.active_count()}")
    for _ in range(2):
        farm.add(entry="entries:main")
    farm.submit(preload=("threaded",))
    path = f"import sys; sys.path.insert(0, {str(farm.project)!r})"
    assert farm.work(code=path) == 0
    assert farm.journal()[1].start == "spawn: preloading started 1 threads"
    assert [ended.metrics for ended in farm.ended()] == [{"threads": 1}] * 2


def test_the_entry_is_never_imported_by_the_parent_and_twins_draw_different_numbers(farm: Any) -> None:
    farm.write(
        "entries.py", "import os, numpy as np\nPID = os.getpid()\ndef main(config, run):\n    return {'pid': PID, 'x': np.random.rand()}"
    )
    for _ in range(2):
        farm.add(entry="entries:main")
    farm.submit(preload=("numpy", "numpy.random"))
    worker = farm.start()
    worker.wait(30)
    first, second = (ended.metrics for ended in farm.ended())
    assert len({first["pid"], second["pid"], worker.pid}) == 3
    assert first["x"] != second["x"]


def test_several_runs_share_a_task_and_a_failure_harms_no_sibling(farm: Any) -> None:
    farm.write("entries.py", "import time\ndef main(config, run):\n    time.sleep(0.6)\n    return {'v': 1 / config['n']}")
    for number in (1, 0, 2, 3):
        farm.add(entry="entries:main", config={"n": number})
    farm.submit(pack={"per_task": 4, "per_gpu": 4})
    began = time.monotonic()
    assert farm.work() == 1
    assert Counter(ended.state for ended in farm.ended()) == {State.COMPLETED: 3, State.FAILED: 1}
    assert time.monotonic() - began < 2.4  # 4 x 0.6 s one after the other


FULL = """
from orchestrator.store import files
def full(operation, path):
    if operation == {operation!r} and {name!r} in str(path):
        raise OSError(28, "No space left on device")
files.check_point = full
"""


@pytest.mark.parametrize("name", ["result.json", "end.json", "metrics.jsonl", "heartbeat"])
def test_a_full_disk_ends_a_run_as_disk_full_and_a_lost_heartbeat_as_nothing(farm: Any, name: str) -> None:
    farm.write("entries.py", "import time\ndef main(config, run):\n    run.report(1, q=2)\n    time.sleep(0.5)\n    return {}")
    farm.add(entry="entries:main")
    farm.submit()
    farm.work(code=FULL.format(operation="write", name=name))
    (ended,) = farm.ended()
    expected = (State.COMPLETED, None) if name == "heartbeat" else (State.FAILED, Cause.DISK_FULL)
    assert (ended.state, ended.cause) == expected, ended.message
    assert farm.attempt().result.exists() == (name == "heartbeat")


@pytest.mark.parametrize("name", ["start.json", "attempt-1", "log.txt"])
def test_a_disk_too_full_for_a_claim_or_a_log_is_told_and_ends_the_worker(farm: Any, name: str) -> None:
    farm.write("entries.py", "def main(config, run):\n    return {}")
    farm.add(entry="entries:main")
    farm.submit()
    assert farm.work(code=FULL.format(operation="rename" if name == "attempt-1" else "write", name=name)) == 1
    if name == "log.txt":
        assert farm.ended()[0].cause is Cause.DISK_FULL
    else:
        assert not farm.attempt().dir.exists()
        assert "No space left" in farm.journal()[-1].reason


def test_a_machine_that_starts_no_process_leaves_the_run_interrupted(farm: Any) -> None:
    farm.write("entries.py", "def main(config, run):\n    return {}")
    farm.add(entry="entries:main")
    farm.submit()
    code = """
import os
from orchestrator.worker import worker
fork = os.fork
def refuse():
    if sys._getframe(1).f_code.co_name == "_child":
        raise BlockingIOError(11, "Resource temporarily unavailable")
    return fork()
os.fork = refuse
"""
    assert farm.work(code=code) == 1
    assert (farm.ended()[0].state, farm.ended()[0].cause) == (State.INTERRUPTED, Cause.LOST)


def test_a_journal_on_a_disk_that_is_full_for_a_while_is_complete_afterwards(farm: Any) -> None:
    farm.write("entries.py", "def main(config, run):\n    return {}")
    for _ in range(3):
        farm.add(entry="entries:main")
    farm.submit()
    code = """
from orchestrator.store import files
count = 0
def full(operation, path):
    global count
    count += path.name == "worker-0.jsonl"
    if path.name == "worker-0.jsonl" and 2 <= count <= 5:
        raise OSError(28, "No space left on device")
files.check_point = full
"""
    farm.work(code=code)
    kinds = Counter(type(line) for line in farm.journal())
    assert (kinds[Started], kinds[Ended], kinds[Left]) == (3, 3, 1)


def test_a_prepare_command_runs_once_before_local_runs_and_its_failure_starts_none(farm: Any) -> None:
    farm.write("entries.py", "def main(config, run):\n    return {}")
    farm.add(entry="entries:main", prepare="ab" * 8)
    farm.submit()
    paths = farm.grid.prepare("ab" * 8)
    paths.dir.mkdir(parents=True)
    command = '{{"argv": {argv}, "cwd": "{cwd}"}}'
    paths.command.write_text(command.format(argv='["false"]', cwd=farm.project))
    assert farm.work() == 1
    assert not farm.ended()
    assert "prepare" in farm.journal()[-1].reason
    paths.command.write_text(command.format(argv='["touch", "prepared"]', cwd=farm.project))
    assert farm.work(index=1) == 1  # another worker of the same launch does not try again
    assert not (farm.project / "prepared").exists()
    paths.failed.unlink()  # as the next launch does
    assert farm.work(index=2) == 0
    assert (farm.project / "prepared").exists()
    assert farm.ended()[0].state is State.COMPLETED


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_nothing_is_lost_that_a_run_left_open(farm: Any, start: str) -> None:
    code = """
    import atexit, ctypes, logging, sys, h5py, torch
    FILES, C = [], ctypes.CDLL(None)
    class Writer:
        def __init__(self, path): self.path = path
        def __del__(self): self.path.write_text("deleted")
    def main(config, run):
        FILES.append(open(run.dir / "held.txt", "w")); FILES[0].write("held")
        sys.modules["torch"].held = open(run.dir / "elsewhere.bin", "wb"); torch.held.write(b"elsewhere")
        cycle = [open(run.dir / "cycle.txt", "w")]; cycle.append(cycle); cycle[0].write("cycle")
        global file, writer
        file = h5py.File(run.dir / "open.h5", "w"); file["x"] = [1, 2, 3]
        writer = Writer(run.dir / "deleted.txt")
        atexit.register(lambda: (run.dir / "atexit.txt").write_text("atexit"))
        C.printf(b"from the C library")
        logging.basicConfig(filename=run.dir / "log.log"); logging.error("logged")
    """
    assert farm.compute(code, submit={"start": start, "preload": ("torch", "h5py")}).state is State.COMPLETED, farm.log()
    folder = farm.attempt().dir
    for name in ("held.txt", "elsewhere.bin", "deleted.txt", "cycle.txt"):
        assert (folder / name).read_text() == name[:-4], name
    assert (folder / "atexit.txt").read_text() == "atexit"
    assert "from the C library" in farm.log()
    assert "logged" in (folder / "log.log").read_text()
    with h5py.File(folder / "open.h5") as file:
        assert list(file["x"]) == [1, 2, 3]


def test_a_line_that_the_disk_cut_off_is_written_again_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append = files.Journal.append

    def half(journal: files.Journal, *values: object, durable: bool = True) -> None:
        monkeypatch.setattr(files.Journal, "append", append)
        with open(journal.path, "ab") as stream:
            stream.write(b'{"t":"left","at":1.0,"rea')
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.Journal, "append", half)
    diary = Diary(tmp_path / "worker-0.jsonl")
    lines = [Left(at=1.0, reason="first"), Left(at=2.0, reason="second")]
    for line in lines:
        diary.write(line)
    assert list(files.read_lines(tmp_path / "worker-0.jsonl", decode_journal_line)) == lines
