"""Exceptions and logs → causes: a table."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from orchestrator.store.states import Cause
from orchestrator.worker.causes import classify, classify_log


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
    (FloatingPointError("loss is nan at step 3"), Cause.DIVERGED),
    (Diverged("loss is NaN"), Cause.DIVERGED),
    (Odd("x"), Cause.ERROR),
    (KeyError("kspace"), Cause.ERROR),
    (chained(ValueError("cannot read"), FileNotFoundError(errno.ENOENT, "gone")), Cause.BAD_INPUT),
    (chained(ValueError("cannot read"), Diverged("NaN")), Cause.DIVERGED),
    (chained(ValueError("cannot read"), Diverged("NaN"), hidden=True), Cause.ERROR),
]


@pytest.mark.parametrize(("error", "cause"), CASES, ids=[f"{type(error).__name__} {error}"[:60] for error, _ in CASES])
def test_an_exception_has_its_cause(error: BaseException, cause: Cause) -> None:
    assert classify(error).cause is cause


@pytest.mark.parametrize(
    ("log", "cause", "message"),
    [
        ("", Cause.ERROR, ""),
        ("epoch 3\n\nlast words\n", Cause.ERROR, "last words"),
        ("Traceback …\nModuleNotFoundError: No module named 'x'\n", Cause.IMPORT_ERROR, "ModuleNotFoundError: No module named 'x'"),
        ("torch.OutOfMemoryError: CUDA out of memory.\nwandb: syncing\n", Cause.GPU_OOM, "torch.OutOfMemoryError: CUDA out of memory."),
        ("cp: error writing 'x': No space left on device", Cause.DISK_FULL, "cp: error writing 'x': No space left on device"),
        ("terminate called after throwing an instance of 'std::bad_alloc'", Cause.HOST_OOM, None),
        ("slurm: Xid (PCI:0000:3b:00): 79, GPU has fallen off the bus", Cause.GPU_FAULT, None),
        ("x" * 10**6, Cause.ERROR, "x" * 300),
    ],
)
def test_a_log_has_its_cause_and_the_line_that_tells_it(log: str, cause: Cause, message: str | None) -> None:
    failure = classify_log(log)
    assert failure.cause is cause
    assert message is None or failure.message == message
    assert len(failure.excerpt) <= 2000


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
