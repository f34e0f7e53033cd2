"""The process that a run was started in: it starts those that train, passes on what they say, and lets none outlive it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack, closing, suppress
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import torch

import models
from models.training.context import Run
from models.training.errors import ProcessLost
from models.training.parallel.launcher import BY_SIGNAL
from models.training.parallel.messages import WARNINGS, Done, Failed, Line, Picture, Report, Start, Stop, Stopped

POLL_S = 0.2
"""Between two looks at run.stop_requested and at torchrun [s]."""
GRACE_S = 20.0
"""What torchrun has to end after the processes [s]."""


def train_in_processes(values: Mapping[str, Any], run: Run, count: int) -> dict[str, float]:
    """Train a config in `count` processes. Returns what the first returned; raises what any of them raised, or ProcessLost."""
    start = Start(dict(values), run.id, dict(run.needs), run.dir, run.checkpoint_dir, run.resume_from)
    with ExitStack() as opened:
        with tempfile.TemporaryDirectory(prefix="training-") as folder, socket.socket(socket.AF_UNIX) as door:
            door.bind(f"{folder}/door")
            door.listen(count)
            parent = opened.enter_context(closing(Parent(run, count, start_launcher(f"{folder}/door", count))))
            parent.welcome(door, start)
        return parent.follow()


def start_launcher(address: str, count: int) -> subprocess.Popen[bytes]:
    """Start torchrun in a process of its own. It and its children are to be deaf to warnings from the first moment on."""
    environ = os.environ | {
        "OMP_NUM_THREADS": str(max(1, torch.get_num_threads() // count)),
        "PYTHONPATH": os.pathsep.join([str(Path(models.__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]),
        "PYTHONSAFEPATH": "1",
        "GLOO_SOCKET_IFNAME": "lo",  # all are on this machine, whose name need not be known
    }
    before = signal.pthread_sigmask(signal.SIG_BLOCK, WARNINGS)
    try:
        argv = [sys.executable, "-m", "models.training.parallel.launcher", address, str(count)]
        return subprocess.Popen(argv, env=environ, stdin=subprocess.DEVNULL)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Parent:
    """One training in several processes, seen from the parent."""

    def __init__(self, run: Run, count: int, launcher: subprocess.Popen[bytes]) -> None:
        self._run = run
        self._count = count
        self._launcher = launcher
        self._connections: list[Connection[Any, Any]] = []
        self._results: list[dict[str, float]] = []
        self._stopping = False

    def welcome(self, door: socket.socket, start: Start) -> None:
        """Wait until all have come to the door, and tell each what to do."""
        while len(self._connections) < self._count:
            if wait([door], timeout=POLL_S):
                self._connections.append(Connection(door.accept()[0].detach()))
                self._say(self._connections[-1], start)
            elif self._launcher.poll() is not None:
                raise self._lost()

    def follow(self) -> dict[str, float]:
        """Listen until all have said their last word."""
        while len(self._results) < self._count:
            for ready in wait(self._connections, timeout=POLL_S):
                assert isinstance(ready, Connection)
                self._hear(ready)
            if self._launcher.poll() is not None:
                raise self._lost()
            self._pass_on_wish()
        return next(results for results in self._results if results)

    def close(self) -> None:
        """Hang up: the processes end by that, and torchrun after them."""
        for connection in self._connections:
            connection.close()
        try:
            self._launcher.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            self._launcher.kill()
            self._launcher.wait()

    def _pass_on_wish(self) -> None:
        if not self._stopping and self._run.stop_requested:
            self._stopping = True
            for connection in self._connections:
                self._say(connection, Stop())

    def _say(self, connection: Connection[Any, Any], message: Start | Stop) -> None:
        with suppress(BrokenPipeError):  # one that has died meanwhile will be heard of
            connection.send(message)

    def _hear(self, connection: Connection[Any, Any]) -> None:
        """Do what a process asks for, and raise what it raised."""
        try:
            message = connection.recv()
        except (EOFError, OSError):
            raise self._lost() from None
        match message:
            case Report() | Picture() | Line():
                self._pass_on(message)
            case Done():
                self._results.append(message.results)
            case Stopped():
                raise self._run.Interrupted()
            case Failed():
                raise self._lost() if self._hear_out() else message.error

    def _pass_on(self, message: Report | Picture | Line) -> None:
        match message:
            case Report():
                self._run.report(*message)
            case Picture():
                self._run.image(*message)
            case Line():
                self._run.log(*message)

    def _hear_out(self) -> bool:
        """Pass on what the processes have still said. Returns whether one has died: what the others raise only tells that they miss it."""
        died = False
        said: list[Any] = []
        for connection in self._connections:
            try:
                while connection.poll():
                    said.append(connection.recv())
            except (EOFError, OSError):
                died = True
        for message in said:
            if isinstance(message, Report | Picture | Line):
                self._pass_on(message)
        return died

    def _lost(self) -> ProcessLost:
        """Return the error for a process that ended without a word; torchrun knows how."""
        self.close()
        why = why_ended(self._launcher.returncode)
        return ProcessLost(f"one of {self._count} training processes ended without a word: {why}. What it printed is in the log.")


def why_ended(code: int) -> str:
    """Return what the exit code of torchrun tells: the signal that ended a process, with its name where it has one, or the code."""
    number = -code if code < 0 else code - BY_SIGNAL
    if number not in signal.valid_signals():
        return f"exit code {code}"
    name = f" ({signal.Signals(number).name})" if number in set(signal.Signals) else ""
    return f"Signal {number}{name} received"
