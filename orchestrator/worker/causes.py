"""From an exception, or from a log's last lines, to cause, message, signature and excerpt (pure)."""

from __future__ import annotations

import errno
import re
import traceback
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import msgspec

from orchestrator.store.errors import EntryError
from orchestrator.store.states import Cause

MESSAGE_LENGTH = 300
EXCERPT_LINES = 12
EXCERPT_LENGTH = 2000

PHRASES: tuple[tuple[Cause, tuple[str, ...]], ...] = (
    (
        Cause.GPU_OOM,  # RuntimeErrors by text: only new versions of torch have a type for it
        (
            r"CUDA out of memory",
            r"(CUDA|HIP) error: out of memory",
            r"HIP out of memory",
            r"CU(BLAS|DNN|SOLVER|SPARSE)_STATUS_ALLOC_FAILED",
            r"CUFFT_ALLOC_FAILED",
            r"CUDACachingAllocator\.cpp.*INTERNAL ASSERT FAILED",
        ),
    ),
    (
        Cause.WORKER_OOM,  # a full /dev/shm is the memory of DataLoader children, not a disk
        (
            r"DataLoader worker .*killed by signal: (Killed|Bus error)",
            r"DataLoader worker .*exited unexpectedly",
            r"insufficient shared memory",
            r"unable to (open|resize|mmap).*(shared memory|/torch_)",
        ),
    ),
    (
        Cause.GPU_FAULT,
        (
            r"uncorrectable ECC",
            r"\bXid\b",
            r"unspecified launch failure",
            r"GPU is lost",
            r"CUDA driver error",
            r"CUDA unknown error",
            r"CUDA-capable device\(s\) is/are busy",
            r"hardware stack error",
            r"NVLink",
        ),
    ),
    (Cause.DISK_FULL, (r"No space left on device", r"Disk quota exceeded", r"errno = 28\b", r"errno = 122\b")),
    (
        Cause.HOST_OOM,
        (
            r"DefaultCPUAllocator: (can't allocate|not enough) memory",
            r"Cannot allocate memory",
            r"Unable to allocate .* for an array",
            r"std::bad_alloc",
            r"^MemoryError",
        ),
    ),
    (Cause.IMPORT_ERROR, (r"^ModuleNotFoundError", r"^ImportError")),
    (Cause.DIVERGED, (r"^FloatingPointError",)),
    (
        Cause.BAD_INPUT,
        (r"^FileNotFoundError", r"No such file or directory", r"Unable to (synchronously )?open (object|file)"),
    ),
)
"""Regular expressions by cause; the first that matches counts."""


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """What is told of an attempt that failed."""

    cause: Cause
    message: str
    """One line for people: the exception's type and text."""
    signature: str = ""
    """Equal for failures that have one reason: type, innermost frame of the user's code, text without its numbers."""
    excerpt: str = ""
    """The last lines of the traceback or of the log."""


def classify(error: BaseException, roots: Sequence[Path] = ()) -> Failure:
    """Say why a run's code raised `error`; `roots` are the folders of the user's code.

    An exception class may say it itself, by an attribute `mrsweep_cause = "diverged"` (any word of Cause).
    """
    message = _first_line(error)
    cause = next((cause for link in _chain(error) for cause in [_cause_of(link)] if cause is not Cause.ERROR), Cause.ERROR)
    lines = traceback.format_exception(error)
    return Failure(
        cause=cause,
        message=message,
        signature=f"{type(error).__name__} {_innermost(error, roots)} {_without_numbers(message)}"[:MESSAGE_LENGTH],
        excerpt=excerpt("".join(lines)),
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield the exception and what caused it; contexts that `raise … from None` hid are left out."""
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)


def _cause_of(error: BaseException) -> Cause:
    stated = getattr(error, "mrsweep_cause", None)
    if isinstance(stated, str) and stated in {cause.value for cause in Cause}:
        return Cause(stated)
    if type(error).__name__ == "OutOfMemoryError":  # torch.OutOfMemoryError, once torch.cuda.OutOfMemoryError
        return Cause.GPU_OOM
    by_text = _by_phrase(f"{type(error).__name__}: {error}")
    return _by_type(error) if by_text is Cause.ERROR else by_text


def _by_type(error: BaseException) -> Cause:
    match error:
        case OSError(errno=errno.ENOSPC | errno.EDQUOT):
            return Cause.DISK_FULL
        case MemoryError() | OSError(errno=errno.ENOMEM):
            return Cause.HOST_OOM
        case ImportError() | EntryError():
            return Cause.IMPORT_ERROR
        case FloatingPointError():
            return Cause.DIVERGED
        case FileNotFoundError() | NotADirectoryError() | IsADirectoryError() | PermissionError():
            return Cause.BAD_INPUT
        case _:
            return Cause.ERROR


def _by_phrase(text: str) -> Cause:
    return next((cause for cause, pattern in _patterns() if pattern.search(text)), Cause.ERROR)


@cache
def _patterns() -> tuple[tuple[Cause, re.Pattern[str]], ...]:
    """Return PHRASES compiled, at the first failure: a task that goes well does not pay for it."""
    return tuple((cause, re.compile("|".join(phrases))) for cause, phrases in PHRASES)


def classify_log(text: str) -> Failure:
    """Say why a process failed that left only its output; `text` is the end of its log."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = next((line for line in reversed(lines[-40:]) if _by_phrase(line) is not Cause.ERROR), None)
    message = telling or (lines[-1] if lines else "")
    return Failure(
        cause=_by_phrase(message),
        message=message[:MESSAGE_LENGTH],
        signature=_without_numbers(message)[:MESSAGE_LENGTH],
        excerpt=excerpt(text),
    )


def excerpt(text: str) -> str:
    """Return the last lines of a text, short enough to be kept."""
    return "\n".join(text.rstrip().splitlines()[-EXCERPT_LINES:])[-EXCERPT_LENGTH:]


def _first_line(error: BaseException) -> str:
    """Return type and first line; of an exception that a DataLoader worker passed on, its own last line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    if lines[0].startswith("Caught ") and "worker process" in lines[0]:
        return lines[-1][:MESSAGE_LENGTH]
    return f"{type(error).__name__}: {lines[0]}"[:MESSAGE_LENGTH]


def _innermost(error: BaseException, roots: Sequence[Path]) -> str:
    """Return file:function of the innermost frame in the user's code; of the innermost frame, where none is."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "site-packages" not in frame.filename and any(_below(frame.filename, root) for root in roots)]
    chosen = (own or frames)[-1:]
    return f"{Path(chosen[0].filename).name}:{chosen[0].name}" if chosen else ""


def _below(filename: str, root: Path) -> bool:
    return Path(filename).is_relative_to(root)


def _without_numbers(text: str) -> str:
    return re.sub(r"\b0x[0-9a-f]+\b|\b[0-9a-f]{8,}\b|\d+(\.\d+)?([eE][-+]?\d+)?", "#", text)
