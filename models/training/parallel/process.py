"""One process of a training in several: python -m models.training.parallel.process ADDRESS, started by torchrun.

It lives as long as its connection to the parent process: what it has to say last it says, and then waits until the parent hangs up. So
none outlives a parent that is killed, and none sees the others end while it computes.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from multiprocessing.connection import Client, Connection
from pathlib import Path
from threading import Thread
from typing import Any

import torch
import torch.distributed as dist

from models.config import read_config
from models.training.parallel.messages import WARNINGS, Done, Failed, Line, Picture, Report, Start, Stopped, failed
from models.training.parallel.plan import count_gpus, devices_of
from models.training.parallel.ranks import TorchRanks
from models.training.session import compute

PATIENCE = timedelta(days=30)
"""How long a process waits for the others, which validate or read: the end of one of them is noticed otherwise."""


class Interrupted(BaseException):
    """Training was asked to stop, and has written a checkpoint."""


class ToldRun:
    """What models/training/context.py asks for, in one of several processes: all that is to be written is told to the parent."""

    Interrupted: type[BaseException] = Interrupted

    def __init__(self, start: Start, tell: Callable[[Any], None]) -> None:
        self.id: str = start.id
        self.needs: Mapping[str, Path] = start.needs
        self.dir: Path = start.dir
        self.checkpoint_dir: Path = start.checkpoint_dir
        self.resume_from: Path | None = start.resume_from
        self.stop_requested = False
        self._tell = tell

    def report(self, step: int, metrics: Mapping[str, float]) -> None:
        """See context.Run."""
        self._tell(Report(step, metrics))

    def image(self, name: str, array: Any, step: int) -> None:
        """See context.Run."""
        self._tell(Picture(name, array, step))

    def log(self, text: str) -> None:
        """See context.Run."""
        self._tell(Line(text))


def main(address: str) -> None:
    """Train as the parent says, until it hangs up."""
    ignore_warnings()
    connection = Client(address, family="AF_UNIX")
    start: Start = connection.recv()
    rank, count = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    run = ToldRun(start, connection.send if rank == 0 else _say_nothing)
    obeying = Thread(target=obey, args=(connection, run), daemon=True)
    obeying.start()
    last_word = _end_of_training(start, run, rank, place=f"process {rank + 1} of {count}")
    with suppress(BrokenPipeError):  # the parent has hung up meanwhile
        connection.send(last_word)
    obeying.join()


def ignore_warnings() -> None:
    """Leave signals to the parent, which has blocked them until here; processes that read data end by SIGTERM as ever."""
    for number in WARNINGS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, WARNINGS)


def obey(connection: Connection[Any, Any], run: ToldRun) -> None:
    """Pass on the wish that training stops; end this process when the parent has hung up or died."""
    try:
        while True:
            connection.recv()
            run.stop_requested = True
    except (EOFError, OSError):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def _end_of_training(start: Start, run: ToldRun, rank: int, *, place: str) -> Done | Stopped | Failed:
    try:
        return Done(_train(start, run, rank))
    except Interrupted:
        return Stopped()
    except BaseException as error:  # whatever it is, the parent raises it
        return failed(error, place)


def _train(start: Start, run: ToldRun, rank: int) -> dict[str, float]:
    config = read_config(start.config)
    gpus = count_gpus(config.train.device)
    devices = devices_of(rank, gpus=gpus, split=config.train.split)
    if gpus:
        torch.cuda.set_device(devices[0])
    dist.init_process_group("cpu:gloo,cuda:nccl" if gpus else "gloo", timeout=PATIENCE)
    return compute(config, run, devices, TorchRanks())


def _say_nothing(message: Any) -> None:
    """Only the first process reports."""


if __name__ == "__main__":
    main(sys.argv[1])
