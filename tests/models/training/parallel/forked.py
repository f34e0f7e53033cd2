"""Processes that train together, forked from the test: they need no seconds to start."""

from __future__ import annotations

import math
import os
import pickle
import signal
import socket
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.distributed as dist

from models.config import read_config
from models.training.parallel import process
from models.training.parallel.ranks import TorchRanks
from models.training.session import compute
from tests.models.local_run import LocalRun


def fork(work: Callable[[], None]) -> int:
    """Do something in a process of its own; return its pid."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    return pid


def together(work: Callable[[TorchRanks], Any], folder: Path, count: int = 2) -> list[Any]:
    """Call work(ranks) in `count` processes; return what they returned. The end of the first one ends the others."""
    folder.mkdir(parents=True, exist_ok=True)

    def begin(rank: int) -> None:
        dist.init_process_group("gloo", store=dist.FileStore(str(folder / "store"), count), rank=rank, world_size=count)
        (folder / f"{rank}").write_bytes(pickle.dumps(work(TorchRanks())))

    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    pids = [fork(lambda rank=rank: begin(rank)) for rank in range(count)]
    for pid in pids:
        os.waitpid(pid, 0)
    return [pickle.loads((folder / f"{rank}").read_bytes()) if (folder / f"{rank}").exists() else None for rank in range(count)]


class Outcome(NamedTuple):
    """How a training in one of the processes ended."""

    run: LocalRun
    result: dict[str, float] | None
    """None: it was stopped."""


def train_together(
    config: Mapping[str, Any], folder: Path, *, count: int = 2, polls: float = math.inf, resume_from: Path | None = None
) -> list[Outcome]:
    """Train a config in several processes; the first is asked to stop when it has asked `polls` times. Each has a folder of its own."""

    def work(ranks: TorchRanks) -> Outcome:
        run = LocalRun(folder / f"run{ranks.share.rank}", resume_from=resume_from, polls=polls if ranks.is_first else math.inf)
        try:
            return Outcome(run, compute(read_config(config), run, (torch.device("cpu"),), ranks))
        except LocalRun.Interrupted:
            return Outcome(run, None)

    return together(work, folder, count)


class ForkedLauncher:
    """Stands in for torchrun where processes are forked: what parent.py asks of it."""

    def __init__(self, address: str, count: int) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.pids = [fork(lambda rank=rank: self._begin(address, rank, count, port)) for rank in range(count)]
        self.returncode: int | None = None
        self._left = set(self.pids)
        self._code = 0

    def poll(self) -> int | None:
        for pid in tuple(self._left):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                self._left.discard(pid)
                code = os.waitstatus_to_exitcode(status)
                self._code = self._code or (128 - code if code < 0 else code)
        self.returncode = None if self._left else self._code
        return self.returncode

    def wait(self, timeout: float | None = None) -> None:
        end = time.monotonic() + (timeout or 0)
        while self.poll() is None:
            assert time.monotonic() < end, "processes outlive their parent's last word"
            time.sleep(0.01)

    def kill(self) -> None:
        for pid in self._left:
            os.kill(pid, signal.SIGKILL)

    @staticmethod
    def _begin(address: str, rank: int, count: int, port: int) -> None:
        os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        process.main(address)
