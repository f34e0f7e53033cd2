"""The exit of a forked child: everything that an interpreter's exit does for a run's files and threads, and no more.

A full exit would also take down what the worker preloaded: 200 ms and more for torch, against 10 ms for the rest of a
short run. Children of multiprocessing leave in the same way. `start: spawn` gives each run a full exit, after the same care.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import io
import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from orchestrator.worker.surroundings import flush_output


def leave(code: int, roots: Sequence[Path]) -> NoReturn:
    """End this process: wait for its threads, call what was registered for the exit, close and flush what is open."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    let_go(roots)
    ctypes.PyDLL(None).fflush(None)
    os._exit(code)


def let_go(roots: Sequence[Path]) -> None:
    """Write out and let go what the run's code holds; `roots` are the folders of that code."""
    flush_files()  # before destructors: of a file in a cycle the collector may close the inner buffer first
    forget_modules(roots)
    gc.collect()
    flush_hdf5()
    flush_files()


def forget_modules(roots: Sequence[Path]) -> None:
    """Drop the run's own modules, so that what only they hold is closed by its destructor."""
    below = tuple(f"{root}{os.sep}" for root in roots)
    for name, module in reversed(list(sys.modules.items())):
        if (getattr(module, "__file__", None) or "").startswith(below):
            del sys.modules[name]
            vars(module).clear()


def flush_hdf5() -> None:
    """Write out the HDF5 files that something still holds; at a full exit the library would close them."""
    h5py = sys.modules.get("h5py")
    if h5py is None:
        return
    for file in h5py.h5f.get_obj_ids(h5py.h5f.OBJ_ALL, h5py.h5f.OBJ_FILE):
        h5py.h5f.flush(file)


def flush_files() -> None:
    """Write out the buffers of Python files that something still holds, outer buffers before inner ones."""
    flush_output()
    streams = [held for held in gc.get_objects() if isinstance(held, io.TextIOBase | io.BufferedIOBase)]
    for stream in sorted(streams, key=lambda held: isinstance(held, io.BufferedIOBase)):
        try:
            if not stream.closed:
                stream.flush()
        except (OSError, ValueError):
            continue
