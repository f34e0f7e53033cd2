"""Times how fast slices of 640 x 368 and 15 coils come from local HDF5 files to the training process, beside a plain read of them.

python -m benchmarks.bench_loader FOLDER read      two processes read the files into memory that is there already; prints JSON
python -m benchmarks.bench_loader FOLDER load 2    trains nothing on them, with so many reading processes; prints JSON

FOLDER is made where it is not there. Its files are read once beforehand: what is measured is the machine, not the disk.
"""

from __future__ import annotations

import json
import multiprocessing
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch

from benchmarks.figures import REPEATS, ROOT, Figure, plain_environment
from models.config import read_config
from models.training.feed import batches, open_feed

SHAPE = (15, 640, 368)
"""Coil, y and x of a slice."""
CROP = (320, 320)
VOLUMES, SLICES = 8, 15
READERS = 2
FEW = 6
"""Slices at the beginning, while reading processes start, that do not count."""
MOST_MS = 10.0


def loader() -> Iterator[Figure]:
    """Time a slice on its way through two reading processes, and through none, beside the plain read."""
    with tempfile.TemporaryDirectory(prefix="mrsweep-bench-") as folder:
        write_volumes(Path(folder))
        _measured(folder, "read")
        plain, found, alone = zip(*(_round(folder) for _ in range(REPEATS)), strict=True)
    walls = tuple(each["ms"] for each in found)
    yield Figure(name=f"loader, a slice of 640 x 368 x 15 by {READERS} reading processes", values=walls, unit="ms", bar=MOST_MS)
    yield Figure(name="  core time of all processes", values=tuple(each["cpu_ms"] for each in found), unit="ms")
    yield Figure(name="  by the training process itself", values=tuple(each["ms"] for each in alone), unit="ms")
    yield Figure(name=f"  plain read of its bytes by {READERS} processes", values=tuple(each["ms"] for each in plain), unit="ms")


def _round(folder: str) -> tuple[dict[str, float], ...]:
    return tuple(_measured(folder, *side) for side in (("read",), ("load", str(READERS)), ("load", "0")))


def _measured(*arguments: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.bench_loader", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=plain_environment(), check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def write_volumes(folder: Path) -> None:
    """Write volumes of noise in fastMRI's layout: what they show does not matter, how large they are does."""
    rng = np.random.default_rng(0)
    for split, volumes, slices in (("train", VOLUMES, SLICES), ("val", 1, 1), ("test", 1, 1)):
        (folder / split).mkdir(parents=True)
        for number in range(volumes):
            with h5py.File(folder / split / f"{split}{number}.h5", "w") as file:
                kspace = file.create_dataset("kspace", (slices, *SHAPE), np.complex64)
                file["reconstruction_rss"] = rng.random((slices, *CROP), dtype=np.float32)
                file.attrs["max"] = 1.0
                for index in range(slices):
                    kspace[index] = rng.standard_normal((*SHAPE, 2), dtype=np.float32).view(np.complex64)[..., 0]


def load(folder: Path, workers: int) -> dict[str, float]:
    """Take all slices of an epoch as training does. Returns wall time and core time of a slice [ms]; the core time counts the start too."""
    torch.set_num_threads(1)
    data = {"layout": "fastmri", "root": str(folder)}
    train = {"batch": 1, "num_workers": workers, "device": "cpu"}
    feed = open_feed(read_config({"model": {"kind": "unet"}, "data": data, "train": train}), torch.device("cpu"))
    before, taken, began = _core_s(), 0, 0.0
    for taken, _ in enumerate(batches(feed.train, torch.device("cpu")), start=1):
        if taken == FEW:
            began = time.perf_counter()
    wall = time.perf_counter() - began
    return {"ms": 1000 * wall / (taken - FEW), "cpu_ms": 1000 * (_core_s() - before) / taken}


def _core_s() -> float:
    """Return the time that this process and those that it has ended have computed."""
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in spent)


def read(folder: Path) -> dict[str, float]:
    """Read the k-space of all slices, each process into one piece of memory. Returns the wall time of a slice [ms]."""
    ready, took = multiprocessing.Barrier(READERS), multiprocessing.SimpleQueue()
    readers = [multiprocessing.Process(target=_read_part, args=(folder, number, ready, took)) for number in range(READERS)]
    for reader in readers:
        reader.start()
    slowest = max(took.get() for _ in readers)
    for reader in readers:
        reader.join()
    return {"ms": 1000 * slowest / (VOLUMES * SLICES)}


def _read_part(folder: Path, number: int, ready: Any, took: Any) -> None:
    files = [h5py.File(path, "r", locking=False)["kspace"] for path in sorted((folder / "train").glob("*.h5"))]
    memory = np.ones(SHAPE, np.complex64)
    ready.wait()
    began = time.perf_counter()
    for file in files:
        for index in range(number, SLICES, READERS):
            file.read_direct(memory, np.s_[index])
    took.put(time.perf_counter() - began)


def main() -> None:
    """Measure one side, and print it as JSON."""
    folder, side, *workers = sys.argv[1:]
    if not Path(folder).exists():
        write_volumes(Path(folder))
    print(json.dumps(read(Path(folder)) if side == "read" else load(Path(folder), int(*workers))))


if __name__ == "__main__":
    main()
