"""Start TensorBoard on a folder, for this machine alone, and end it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from orchestrator.store.errors import ClusterError, InputError

HOST = "127.0.0.1"
"""TensorBoard asks nobody for a password: it is never opened to the network."""
FIRST_PORT = 6006
"""TensorBoard's own; the first free one from here on is taken."""
PORTS_TRIED = 100
START_S = 60.0
"""How long TensorBoard may take until it answers: on a network filesystem its import alone takes long."""
END_S = 5.0
_ANSWERS = b"Press CTRL+C"
"""What TensorBoard says once the port is its own: somebody else may have taken it since it was chosen."""
_HEAD_BYTES = 65_536


def command_of(folder: Path, port: int, title: str) -> list[str]:
    """Return the command line; -P keeps a folder named `tensorboard` in the working folder from being imported instead."""
    options = {"--logdir": str(folder), "--host": HOST, "--port": str(port), "--window_title": title}
    return [sys.executable, "-P", "-m", "tensorboard.main", *(f"{option}={value}" for option, value in options.items())]


def choose_port(wanted: int | None, is_free: Callable[[int], bool]) -> int:
    """Return the port that was asked for, else the first free one; raise InputError where it is taken."""
    if wanted is not None:
        if not is_free(wanted):
            raise InputError(f"--port {wanted}: is taken on this machine. Choose another, or leave it out to get a free one.")
        return wanted
    ports = range(FIRST_PORT, FIRST_PORT + PORTS_TRIED)
    port = next((port for port in ports if is_free(port)), None)
    if port is None:
        raise InputError(f"no port from {ports[0]} to {ports[-1]} is free on this machine. Choose one with --port.")
    return port


def is_free(port: int) -> bool:
    """Say whether nobody listens on a port of this machine."""
    with socket.socket() as attempt:
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind((HOST, port))
        except OSError:
            return False
    return True


@contextmanager
def serving(folder: Path, port: int, title: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start TensorBoard and yield it once it answers; it ends with the block. Raises ClusterError with its last words."""
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command_of(folder, port, title), stdout=said, stderr=said, stdin=subprocess.DEVNULL)
        try:
            _await_answer(process, port, said)
            yield process
        finally:
            _end(process)


def _await_answer(process: subprocess.Popen[bytes], port: int, said: IO[bytes]) -> None:
    deadline = time.monotonic() + START_S
    while not (_ANSWERS in os.pread(said.fileno(), _HEAD_BYTES, 0) and _answers(port)):
        if process.poll() is not None or time.monotonic() > deadline:
            raise ClusterError(f"TensorBoard did not start: {last_words(said)}. Try another port with --port.")
        time.sleep(0.1)


def _answers(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), timeout=1.0).close()
    except OSError:
        return False
    return True


def last_words(said: IO[bytes]) -> str:
    """Return the last line of what a process wrote."""
    said.seek(0)
    lines = [line.strip() for line in said.read().decode(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"


def _end(process: subprocess.Popen[bytes]) -> None:
    """End TensorBoard and with it its data server; who does not listen is killed."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(END_S)
        return
    process.kill()
    process.wait()


@contextmanager
def view_of(folder: Path, names: Iterable[str]) -> Iterator[Path]:
    """Yield a folder, gone after the block, that shows only some runs of the folder for TensorBoard."""
    with tempfile.TemporaryDirectory(prefix="mrsweep-tensorboard-") as view:
        for name in names:
            os.symlink(folder / name, Path(view, name))
        yield Path(view)
