"""What a run uses: memory as PSS, GPU memory, processor time; and the kernel's count of out-of-memory kills."""

from __future__ import annotations

import contextlib
import importlib
import os
import re
from collections.abc import Iterable
from pathlib import Path

import msgspec

GB = 1024**3
_PSS = re.compile(rb"^Pss:\s+(\d+) kB", re.MULTILINE)
_OOM_KILLS = re.compile(r"^oom_kill (\d+)", re.MULTILINE)
_TICKS = os.sysconf("SC_CLK_TCK")


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True):
    """The file `heartbeat`, rewritten while a run lives; a reader compares the counter over its own clock."""

    counter: int
    at: float
    pss_gb: float
    gpu_gb: float = 0.0
    cpu_s: float
    """Processor time of the run and its children [s]: it stands still when the run hangs."""
    step: int | float | str | None = None
    """Of the last report."""
    metrics_bytes: int = 0


def pss_gb(pids: Iterable[int]) -> float:
    """Return the memory of processes, pages that they share counted once [GB]."""
    return sum(map(_pss_kb, pids)) / 1024**2


def _pss_kb(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as stream:
            match = _PSS.search(stream.read())
    except OSError:  # it ended, or belongs to somebody else
        return 0
    return int(match[1]) if match else 0


def cpu_s(pids: Iterable[int]) -> float:
    """Return the processor time of processes [s]."""
    return sum(map(_cpu_ticks, pids)) / _TICKS


def _cpu_ticks(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/stat", "rb") as stream:
            fields = stream.read().rpartition(b")")[2].split()
    except OSError:
        return 0
    return int(fields[11]) + int(fields[12])


def gpu_gb(pids: Iterable[int]) -> float:
    """Return the GPU memory of processes [GB]; 0 without nvidia-ml-py or a GPU.

    NVML is opened and closed for each look, so that no forked child inherits its state.
    """
    try:
        pynvml = importlib.import_module("pynvml")
    except ImportError:
        return 0.0
    wanted = set(pids)
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return 0.0
    used = 0
    with contextlib.suppress(pynvml.NVMLError):
        for place in range(pynvml.nvmlDeviceGetCount()):
            processes = pynvml.nvmlDeviceGetComputeRunningProcesses(pynvml.nvmlDeviceGetHandleByIndex(place))
            used += sum(process.usedGpuMemory or 0 for process in processes if process.pid in wanted)
    with contextlib.suppress(pynvml.NVMLError):
        pynvml.nvmlShutdown()
    return float(used / GB)


def oom_counter() -> Path | None:
    """Return the file in which the kernel counts out-of-memory kills of this process's memory cgroup, version 1 or 2."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, group = line.split(":", 2)
            candidates = {
                "memory": Path(f"/sys/fs/cgroup/memory{group}/memory.oom_control"),
                "": Path(f"/sys/fs/cgroup{group}/memory.events"),
            }
            path = candidates.get(controllers)
            if path is not None and path.exists():
                return path
    return None


def oom_kills(counter: Path | None) -> int | None:
    """Return the count of kills so far; None where the kernel does not tell."""
    if counter is None:
        return None
    try:
        match = _OOM_KILLS.search(counter.read_text())
    except OSError:
        return None
    return int(match[1]) if match else None
