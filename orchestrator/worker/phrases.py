"""The words by which known causes show in messages: one table, the first entry that matches counts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from orchestrator.store.states import Cause
from orchestrator.worker.signatures import Frame

CERTAIN, LIKELY, GUESS = "certain", "likely", "guess"
LONGEST = 2000
"""Characters of a message that are looked at."""

PHRASES: tuple[tuple[Cause, str, tuple[str, ...]], ...] = (
    (
        Cause.ERROR,  # bugs whose words resemble a fault of the machine
        LIKELY,
        (
            r"device-side assert triggered",
            r"an illegal memory access was encountered",
            r"Memory access fault by GPU",
            r"misaligned address",
            r"no kernel image is available",
            r"(use_count|handles_)\S* .{0,40}INTERNAL ASSERT FAILED",
            r"DataLoader worker .{0,60}killed by signal: (Segmentation|Abort|Floating|Illegal)",
            r"Fatal Python error: (Segmentation fault|Aborted)",
            r"MemoryError was not raised",
        ),
    ),
    (Cause.HOST_OOM, CERTAIN, (r"OOM when allocating tensor.{0,300}device:CPU",)),
    (
        Cause.GPU_OOM,  # RuntimeErrors by text: only new versions of torch have a type for it
        CERTAIN,
        (
            r"(CUDA|HIP|XPU|MPS backend) out of memory",
            r"(CUDA|HIP)( driver)? error: out of memory",
            r"(?i:cuda runtime error) \(2\)",
            r"CUDA_ERROR_OUT_OF_MEMORY",
            r"cudaErrorMemoryAllocation",
            r"hipErrorOutOfMemory",
            r"CU(BLAS|DNN|SOLVER|SPARSE)_STATUS_ALLOC_FAILED",
            r"(CU|HIP)FFT_ALLOC_FAILED",
            r"cudaMalloc failed: out of memory",
            r"Cuda failure .{0,12}out of memory",
            r"(?i:resource[_ ]?exhausted)\w*: .{0,80}(Out of memory|OOM when allocating|Failed to allocate)",
            r"OOM when allocating tensor",
            r"OutOfMemoryError: Out of memory allocating",
        ),
    ),
    (
        Cause.GPU_OOM,  # what torch says when an allocation fails where nobody expected it
        LIKELY,
        (
            r"NVML_SUCCESS == r\s{0,3}INTERNAL ASSERT FAILED",
            r"INTERNAL ASSERT FAILED at .{0,80}CUDACachingAllocator\.cpp",
            r"CUDACachingAllocator\.cpp.{0,40}INTERNAL ASSERT FAILED",
            r"Unable to find a valid cuDNN algorithm",
        ),
    ),
    (Cause.GPU_OOM, GUESS, (r"CUBLAS_STATUS_NOT_INITIALIZED", r"GET was unable to find an engine to execute")),
    (
        Cause.WORKER_OOM,  # a full /dev/shm is the memory of DataLoader children, not a disk
        CERTAIN,
        (
            r"DataLoader worker .{0,60}killed by signal: (Killed|Bus error)",
            r"insufficient shared memory",
            r"unable to (open|resize|mmap|write|allocate).{0,120}(shared memory|/torch_)",
            r"No space left on device.{0,20}'/dev/shm",
        ),
    ),
    (
        Cause.WORKER_OOM,
        GUESS,
        (
            r"DataLoader worker .{0,200}exited unexpectedly",
            r"A process in the process pool was terminated abruptly",
            r"background workers? (is|are) no longer alive",
            r"A worker process managed by the executor was unexpectedly terminated",
        ),
    ),
    (
        Cause.GPU_FAULT,
        CERTAIN,
        (
            r"(?i:uncorrectable (ECC|NVLink))",
            r"ECC_UNCORRECTABLE",
            r"\bXid\b.{0,60}\d",
            r"GPU (is|has been) lost",
            r"fallen off the bus",
            r"hardware stack error",
            r"NVLink (error|fault)",
            r"NVML: Failed",
        ),
    ),
    (
        Cause.GPU_FAULT,
        LIKELY,
        (
            r"unspecified launch failure",
            r"CUDA_ERROR_LAUNCH_FAILED",
            r"CUDA driver error",
            r"CUDA error: device not ready",
            r"(?i:cuda).{0,80}unknown error",
            r"THC.{0,120}unknown error",
            r"Unexpected error from cudaGetDeviceCount",
            r"\bNVMLError",
            r"CUDA-capable (device\(s\) is/are|devices are) busy",
            r"Failed to initialize NVML",
            r"Unable to determine the device handle for GPU",
            r"the launch timed out and was terminated",
        ),
    ),
    (Cause.GPU_FAULT, GUESS, (r"No CUDA GPUs are available", r"no CUDA-capable device is detected", r"Found no NVIDIA driver")),
    (
        Cause.DISK_FULL,
        CERTAIN,
        (
            r"No space left on device",
            r"(?i:disk quota exceeded)",
            r"errno = (27|28|122)\b",
            r"\[Errno (28|122)\]",
            r"database or disk is full",
        ),
    ),
    (
        Cause.DISK_FULL,
        LIKELY,
        (
            r"PytorchStreamWriter failed writing",
            r"inline_container.{0,80}unexpected pos",
            r"\bunexpected pos \d+ vs \d+",
            r"basic_ios::clear: iostream error",
            r"\b\d+ requested and \d+ written",
            r"File too large",
            r"(?i:not enough (free |disk )?space)",
        ),
    ),
    (
        Cause.NODE_FAILURE,  # the node lost its file system: nothing is wrong with the run, and another node may do
        LIKELY,
        (
            r"Stale (NFS )?file handle",
            r"slurmstepd\S*: error: (execve|container_g_join|couldn't chdir)",
            r"Input/output error",
            r"Remote I/O error",
            r"Transport endpoint is not connected",
            r"Cannot send after transport endpoint shutdown",
            r"errno = (5|116|121)\b",
            r"\[Errno (5|107|108|116|121)\]",
        ),
    ),
    (
        Cause.HOST_OOM,
        CERTAIN,
        (
            r"DefaultCPUAllocator: (can't allocate|not enough) memory",
            r"not enough memory: you tried to allocate",
            r"Cannot allocate memory",
            r"Unable to allocate .{0,60}array with shape",
            r"std::bad_alloc",
            r"^([\w.]+\.)?_?(Array)?MemoryError\b",
            r"java\.lang\.OutOfMemoryError",
            r"oom[-_]kill event",
            r"Detected \d+ oom",
            r"(?i:memory cgroup out of memory|out of memory: kill)",
            r"(?i:exceeded (job|step)? ?memory limit)",
            r"task \S+: Out Of Memory",
        ),
    ),
    (
        Cause.HOST_OOM,  # most who kill by SIGKILL are the kernel, short of memory
        GUESS,
        (
            r"\bline \d+: +\d+ Killed\b",
            r"^Killed$",
            r"task \S+: Killed$",
            r"Signal 9 \(SIGKILL\) received",
            r"exitcode *: -9\b",
            r"terminated with signal SIGKILL",
            r"died with <Signals\.SIGKILL",
        ),
    ),
    (
        Cause.IMPORT_ERROR,
        CERTAIN,
        (
            r"^([\w.]+\.)?(ModuleNotFoundError|ImportError|EntryError)\b",
            r"\bNo module named\b",
            r"cannot open shared object file",
            r"version `(GLIBC|GLIBCXX|CXXABI)",
            r"undefined symbol: ",
            r"can't open file .{0,300}\[Errno 2\]",
        ),
    ),
    (
        Cause.IMPORT_ERROR,  # a program or an environment module that this node does not have
        LIKELY,
        (
            r": (command )?not found$",
            r"Exec format error",
            r"Unable to locate a modulefile",
            r"The following module\(s\) are unknown",
        ),
    ),
    (
        Cause.DIVERGED,
        LIKELY,
        (
            r"^([\w.]+\.)?FloatingPointError\b",
            r"(?i:\bloss (is|was|became|has become|went|turned) \W{0,3}(nan|inf|not finite|non-?finite))",
            r"(?i:\bis nan or inf\b)",
            r"returned nan values in its",
            r"(?i:found invalid values:\s{0,4}tensor.{0,80}nan)",
            r"probability tensor contains either `inf`, `nan`",
            r"(?i:\b(training|model|loss|optimi[sz]ation) (has )?diverged)",
            r"(?i:\b(nan|non-?finite)( or inf)? (value|values|loss|gradient|gradients) (was |were |is |are )?(detected|found|encountered))",
        ),
    ),
    (
        Cause.DIVERGED,
        GUESS,
        (
            r"(?i:\b(loss|gradients?|grad_?norm|parameters?|weights)\b.{0,40}\b(nan|inf|not finite|non-?finite)\b)",
            r"cannot convert float NaN to integer",
        ),
    ),
    (
        Cause.BAD_INPUT,
        LIKELY,
        (
            r"^FileNotFoundError\b",
            r"No such file or directory",
            r"^(PermissionError|NotADirectoryError|IsADirectoryError)\b",
            r"Unable to (synchronously )?open (object|file)",
            r"Can't (synchronously )?read data",
            r"PytorchStreamReader failed",
            r"invalid load key",
            r"UnpicklingError",
            r"EOFError: Ran out of input",
            r"BadZipFile|File is not a zip file",
            r"BadGzipFile|Not a gzipped file|Error -[35] while decompressing",
            r"UnidentifiedImageError|cannot identify image file|image file is truncated",
            r"ImageFileError|InvalidDicomError",
            r"Permission denied",
        ),
    ),
)
"""(cause, how sure it is, regular expressions); none can take long over a hostile text."""


class Found(NamedTuple):
    """What a message says of a cause."""

    cause: Cause
    confidence: str


NOTHING = Found(Cause.ERROR, GUESS)
"""No known cause: an error of the code, as far as anybody can tell."""


CODE = frozenset(
    {"KeyError", "IndexError", "NameError", "UnboundLocalError", "AttributeError", "TypeError", "SyntaxError", "RecursionError"}
)
"""Errors of the code, whatever they quote; h5py alone tells by a KeyError that a file lacks something."""
_READING = frozenset({"OSError", "EOFError", "UnpicklingError", "BadZipFile"})
_READERS = r"torch[/\\]serialization\.py$|numpy[/\\]lib[/\\]_?npyio\w*\.py$"
"""Where a broken file shows by an exception without telling words."""


def cause_of(kind: str, text: str, frames: Sequence[Frame]) -> Found:
    """Return what an exception says by its type, its words and the place where it was raised."""
    if kind == "OutOfMemoryError" and "java" not in text:  # torch.OutOfMemoryError, once torch.cuda.OutOfMemoryError; cupy's too
        return Found(Cause.GPU_OOM, CERTAIN)
    if kind in CODE:
        return Found(Cause.BAD_INPUT, LIKELY) if "Unable to" in text and cause_in(text).cause is Cause.BAD_INPUT else NOTHING
    found = cause_in(f"{kind}: {text}")
    reads = found is NOTHING and kind in _READING and any(frame.function == "load" and re.search(_READERS, frame.file) for frame in frames)
    return Found(Cause.BAD_INPUT, LIKELY) if reads else found


def cause_in(text: str) -> Found:
    """Return what the words of one message say; NOTHING where no phrase is known."""
    return next((found for found, pattern in _patterns() if pattern.search(text, 0, LONGEST)), NOTHING)


@cache
def _patterns() -> tuple[tuple[Found, re.Pattern[str]], ...]:
    """Return PHRASES compiled, at the first failure: a task that goes well does not pay for it."""
    return tuple((Found(cause, confidence), re.compile("|".join(phrases))) for cause, confidence, phrases in PHRASES)
