"""Exceptions → causes: a table, and what is really raised."""

from __future__ import annotations

import errno
import os
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from orchestrator.store.states import Cause
from orchestrator.worker.causes import classify


class OutOfMemoryError(RuntimeError):
    """As torch names it."""


class Diverged(Exception):
    mrsweep_cause = "diverged"


class Odd(Exception):
    mrsweep_cause = "no such cause"


def chained(outer: BaseException, inner: BaseException, *, hidden: bool = False) -> BaseException:
    try:
        try:
            raise inner
        except BaseException as error:
            raise outer from (None if hidden else error)
    except BaseException as error:
        return error


CASES: list[tuple[BaseException, Cause]] = [
    (OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"), Cause.GPU_OOM),
    (RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB (GPU 0; 10.76 GiB total capacity)"), Cause.GPU_OOM),
    (RuntimeError("CUDA error: out of memory"), Cause.GPU_OOM),
    (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), Cause.GPU_OOM),
    (RuntimeError("HIP out of memory. Tried to allocate"), Cause.GPU_OOM),
    (RuntimeError('!handles_.at(i) INTERNAL ASSERT FAILED at "../c10/cuda/CUDACachingAllocator.cpp":1'), Cause.ERROR),
    (RuntimeError('"../c10/cuda/CUDACachingAllocator.cpp":995, INTERNAL ASSERT FAILED'), Cause.GPU_OOM),
    (RuntimeError("[enforce fail at alloc_cpu.cpp:83] . DefaultCPUAllocator: can't allocate memory: you tried"), Cause.HOST_OOM),
    (MemoryError(), Cause.HOST_OOM),
    (MemoryError("Unable to allocate 74.5 GiB for an array with shape (10000000000,)"), Cause.HOST_OOM),
    (OSError(errno.ENOMEM, "Cannot allocate memory"), Cause.HOST_OOM),
    (RuntimeError("DataLoader worker (pid 4012) is killed by signal: Killed. "), Cause.WORKER_OOM),
    (RuntimeError("DataLoader worker (pid(s) 4012, 4013) exited unexpectedly"), Cause.WORKER_OOM),
    (RuntimeError("DataLoader worker (pid 4012) is killed by signal: Segmentation fault. "), Cause.ERROR),
    (RuntimeError("unable to open shared memory object </torch_9_1> in read-write mode: No space left on device (28)"), Cause.WORKER_OOM),
    (RuntimeError("CUDA error: uncorrectable ECC error encountered"), Cause.GPU_FAULT),
    (RuntimeError("CUDA error: unspecified launch failure"), Cause.GPU_FAULT),
    (RuntimeError("CUDA error: an illegal memory access was encountered"), Cause.ERROR),
    (RuntimeError("CUDA error: device-side assert triggered"), Cause.ERROR),
    (OSError(errno.ENOSPC, "No space left on device"), Cause.DISK_FULL),
    (OSError(errno.EDQUOT, "Disk quota exceeded"), Cause.DISK_FULL),
    (OSError("Can't synchronously write data (file write failed: errno = 28, error message = 'No space left on device')"), Cause.DISK_FULL),
    (ModuleNotFoundError("No module named 'x'"), Cause.IMPORT_ERROR),
    (ImportError("libcudart.so.11: cannot open shared object file: No such file or directory"), Cause.IMPORT_ERROR),
    (FileNotFoundError(errno.ENOENT, "No such file or directory", "a.h5"), Cause.BAD_INPUT),
    (KeyError("Unable to synchronously open object (object 'kspace' doesn't exist)"), Cause.BAD_INPUT),
    (OSError("Unable to synchronously open file (truncated file: eof = 2048)"), Cause.BAD_INPUT),
    (PermissionError(errno.EACCES, "Permission denied"), Cause.BAD_INPUT),
    (OSError(errno.ESTALE, "Stale file handle"), Cause.NODE_FAILURE),
    (OSError(errno.EIO, "Input/output error"), Cause.NODE_FAILURE),
    (KeyError("CUDA out of memory"), Cause.ERROR),  # it quotes a key
    (RuntimeError("CUDA error: misaligned address"), Cause.ERROR),
    (RuntimeError("Found no NVIDIA driver on your system."), Cause.GPU_FAULT),
    (ValueError("Expected parameter loc to satisfy the constraint Real(), but found invalid values:\ntensor([nan])"), Cause.DIVERGED),
    (AssertionError("No inf checks were recorded for this optimizer."), Cause.ERROR),
    (FloatingPointError("loss is nan at step 3"), Cause.DIVERGED),
    (Diverged("loss is NaN"), Cause.DIVERGED),
    (Odd("x"), Cause.ERROR),
    (KeyError("kspace"), Cause.ERROR),
    (chained(ValueError("cannot read"), FileNotFoundError(errno.ENOENT, "gone")), Cause.BAD_INPUT),
    (chained(ValueError("cannot read"), Diverged("NaN")), Cause.DIVERGED),
    (chained(ValueError("cannot read"), Diverged("NaN"), hidden=True), Cause.ERROR),
    (chained(OSError(errno.ENOSPC, "No space left on device"), OutOfMemoryError("CUDA out of memory")), Cause.GPU_OOM),
    (chained(Diverged("NaN"), OutOfMemoryError("CUDA out of memory")), Cause.DIVERGED),  # the class says it
    (chained(OutOfMemoryError("CUDA out of memory"), FileNotFoundError(errno.ENOENT, "no cache")), Cause.GPU_OOM),
    (chained(ModuleNotFoundError("No module named 'x'"), FileNotFoundError(errno.ENOENT, "gone")), Cause.IMPORT_ERROR),
]


@pytest.mark.parametrize(("error", "cause"), CASES, ids=[f"{type(error).__name__} {error}"[:60] for error, _ in CASES])
def test_an_exception_has_its_cause(error: BaseException, cause: Cause) -> None:
    assert classify(error).cause is cause


def raise_at(step: int) -> BaseException:
    try:
        raise RuntimeError(f"step {step}: loss 1e-{step} at 0x7f{step:06x}, run {step:016x}")
    except RuntimeError as error:
        return error


def test_failures_of_one_reason_have_one_signature() -> None:
    first, second = (classify(raise_at(step), [Path(__file__).parent]) for step in (3, 41))
    assert first.signature == second.signature
    assert first.message != second.message
    assert "test_causes.py:raise_at" in first.signature


def test_what_a_dataloader_worker_raised_is_told_by_its_last_line() -> None:
    text = (
        "Caught ValueError in DataLoader worker process 0.\nOriginal Traceback (most recent call last):\n  File …\nValueError: bad slice 3"
    )
    assert classify(ValueError(text)).message == "ValueError: bad slice 3"


def load_missing_volume() -> None:
    h5py.File("/no/such/folder/file1000001.h5")


def load_text_as_volume() -> None:
    h5py.File(__file__)


def allocate_array() -> None:
    np.ones((1 << 20, 1 << 20, 33))


def allocate_tensor() -> None:
    torch.ones(1 << 50)


def fill_disk() -> None:
    with open("/dev/full", "w") as stream:
        stream.write("x" * 99_999)


def load_torn_checkpoint() -> None:
    with tempfile.NamedTemporaryFile(suffix=".pt") as file:
        torch.save({"weights": torch.ones(99_999)}, file.name)
        os.truncate(file.name, 30_011)
        torch.load(file.name)


def import_nothing() -> None:
    import no_such_module  # type: ignore[import-not-found]  # noqa: F401


def divide() -> None:
    with np.errstate(all="raise"):
        np.log(np.zeros(3))


def lose_worker() -> None:
    for _ in DataLoader(Doomed(), num_workers=1):  # type: ignore[arg-type]
        pass


def run_out_of_gpu() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


class Doomed:
    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> int:
        os.kill(os.getpid(), signal.SIGKILL)
        return index


REAL = [
    (load_missing_volume, Cause.BAD_INPUT, "certain or likely"),
    (load_text_as_volume, Cause.BAD_INPUT, "certain or likely"),
    (allocate_array, Cause.HOST_OOM, "certain"),
    (allocate_tensor, Cause.HOST_OOM, "certain"),
    (fill_disk, Cause.DISK_FULL, "certain"),
    (load_torn_checkpoint, Cause.BAD_INPUT, "likely"),
    (import_nothing, Cause.IMPORT_ERROR, "certain"),
    (divide, Cause.DIVERGED, "likely"),
    (lose_worker, Cause.WORKER_OOM, "certain"),
    (run_out_of_gpu, Cause.GPU_OOM, "certain"),
]


@pytest.mark.parametrize(("fail", "cause", "confidence"), REAL, ids=[fail.__name__ for fail, _, _ in REAL])
def test_what_is_really_raised_has_its_cause(fail: Callable[[], None], cause: Cause, confidence: str) -> None:
    with pytest.raises(Exception) as caught:
        fail()
    diagnosis = classify(caught.value, [Path(__file__).parent])
    assert diagnosis.cause is cause
    assert diagnosis.confidence in confidence
    assert diagnosis.evidence == (f"exception: {diagnosis.message}"[:200],)


def test_the_signature_names_the_users_innermost_frame_and_not_the_librarys() -> None:
    with pytest.raises(OSError) as caught:
        load_missing_volume()
    assert "test_causes.py:load_missing_volume" in classify(caught.value).signature


def read_or_compute() -> None:
    try:
        Path("/no/such/cache.npy").read_bytes()
    except OSError:
        compute()


def compute() -> None:
    raise ValueError("coils are missing")


def read_or_complain() -> None:
    try:
        os.stat("/no/such/maps.npy")
    except OSError:
        raise ValueError("no sensitivity maps")  # noqa: B904


@pytest.mark.parametrize(("fail", "cause"), [(read_or_compute, Cause.ERROR), (read_or_complain, Cause.BAD_INPUT)])
def test_a_missing_file_that_was_dealt_with_is_no_cause_and_one_that_was_complained_of_is(fail: Callable[[], None], cause: Cause) -> None:
    with pytest.raises(ValueError) as caught:
        fail()
    assert classify(caught.value).cause is cause


def test_of_a_chain_the_message_and_the_signature_are_those_of_the_first_lack() -> None:
    error = chained(OSError(errno.ENOSPC, "No space left on device"), OutOfMemoryError("CUDA out of memory. Tried 3 GiB"))
    diagnosis = classify(error)
    assert diagnosis.message == "OutOfMemoryError: CUDA out of memory. Tried 3 GiB"
    assert diagnosis.signature.startswith("OutOfMemoryError test_causes.py:chained CUDA out of memory")
