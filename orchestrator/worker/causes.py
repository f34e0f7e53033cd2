"""From an exception to its diagnosis: cause, message, signature and excerpt (pure)."""

from __future__ import annotations

import errno
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from orchestrator.store.errors import EntryError
from orchestrator.store.states import Cause
from orchestrator.worker.phrases import CERTAIN, GUESS, LIKELY, NOTHING, Found, cause_of
from orchestrator.worker.signatures import Frame, signature

MESSAGE_LENGTH = 300
HERE = str(Path(__file__).parent)
EXCERPT_LINES = 12
EXCERPT_LENGTH = 2000
EVIDENCE_LINES = 4
EVIDENCE_LENGTH = 200

WEAK = frozenset({Cause.BAD_INPUT, Cause.IMPORT_ERROR})
"""What code often meets, handles and does without; what the machine lacked is never met in passing."""


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """What is told of an attempt that failed."""

    cause: Cause
    message: str
    """One line for people: the exception's type and text."""
    signature: str = ""
    """Equal for failures that have one reason: type, innermost frame of the user's code, text without its numbers."""
    excerpt: str = ""
    """The last lines of the traceback or of the log."""
    confidence: str = LIKELY
    """certain, likely or guess."""
    evidence: tuple[str, ...] = ()
    """What the cause was read from; each line says its source first."""


class Link(NamedTuple):
    """One exception of a chain, for the choice of the one that counts."""

    found: Found
    stated: bool = False
    """Its class says the cause itself."""
    explained: bool = True
    """The next one tells of it, by `from` or as its translation; False: it was raised while this one was handled."""


def decisive(chain: Sequence[Link]) -> int:
    """Return the place of the link that tells why a chain of exceptions, the oldest first, came to pass.

    What is stated wins; then the first thing that the machine lacked, as all later ones may follow from it; then the
    newest that names a missing file or module, unless something else went wrong after that was dealt with.
    """
    newest = len(chain) - 1
    stated = [place for place, link in enumerate(chain) if link.stated]
    if stated:
        return stated[-1]
    strong = [place for place, link in enumerate(chain) if link.found is not NOTHING and link.found.cause not in WEAK]
    sure = [place for place in strong if chain[place].found.confidence != GUESS]
    if strong:
        return (sure or strong)[0]
    for place in range(newest, -1, -1):
        if place < newest and not chain[place].explained:
            return newest
        if chain[place].found.cause in WEAK:
            return place
    return newest


def classify(error: BaseException, roots: Sequence[Path] = ()) -> Diagnosis:
    """Say why a run's code raised `error`; `roots` are the folders of the user's code.

    An exception class may say it itself, by an attribute `mrsweep_cause = "diverged"` (any word of Cause).
    """
    chain = list(_chain(error))[::-1]
    links = [_link(link, chain[place + 1] if place + 1 < len(chain) else None) for place, link in enumerate(chain)]
    place = decisive(links)
    found, told = links[place].found, chain[place]
    kind, text = _kind_and_text(told)
    message = _message(kind, text)
    return Diagnosis(
        cause=found.cause,
        message=message,
        signature=signature(kind, _frames(told, roots), text),
        excerpt=excerpt(_without_roots(users_traceback(error), roots)),
        confidence=found.confidence if found.cause is not Cause.ERROR else LIKELY,
        evidence=evidence_lines(f"exception: {message}"),
    )


def evidence_lines(*lines: str) -> tuple[str, ...]:
    """Return what a cause was read from, short enough to be journalled; empty lines are left out."""
    return tuple(" ".join(line.split())[:EVIDENCE_LENGTH] for line in lines if line)[:EVIDENCE_LINES]


def users_traceback(error: BaseException) -> str:
    """Return the traceback without the worker's own frames, which say nothing of the user's code."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None and trace.tb_frame.f_code.co_filename.startswith(HERE):
        trace = trace.tb_next
    return "".join(traceback.format_exception(type(error), error, trace))


def _without_roots(text: str, roots: Sequence[Path]) -> str:
    """Return a traceback whose files are named as the user knows them: below the folder of their code."""
    for root in roots:
        text = text.replace(f'File "{root}/', 'File "')
    return text


def excerpt(text: str) -> str:
    """Return the last lines of a text, short enough to be kept."""
    return "\n".join(text.rstrip().splitlines()[-EXCERPT_LINES:])[-EXCERPT_LENGTH:]


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield the exception and what came before it; contexts that `raise … from None` hid are left out."""
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)


def _link(error: BaseException, newer: BaseException | None) -> Link:
    stated = getattr(error, "mrsweep_cause", None)
    if isinstance(stated, str) and stated in {cause.value for cause in Cause}:
        return Link(Found(Cause(stated), CERTAIN), stated=True)
    explained = newer is None or newer.__cause__ is error or is_translated(_frames(error), _frames(newer))
    return Link(_found(error), explained=explained)


def is_translated(older: Sequence[Frame], newer: Sequence[Frame]) -> bool:
    """Say whether an exception was raised by the very function that handled the older one, and not by what it went on to do."""
    return bool(older and newer) and older[0] == newer[-1]


def _found(error: BaseException) -> Found:
    known = _by_type(error)
    by_text = cause_of(*_kind_and_text(error), _frames(error))
    if by_text is NOTHING or (known.confidence == CERTAIN and by_text.confidence != CERTAIN):
        return known
    return by_text


def _by_type(error: BaseException) -> Found:
    match error:
        case OSError(errno=errno.ENOSPC | errno.EDQUOT):
            return Found(Cause.DISK_FULL, CERTAIN)
        case MemoryError() | OSError(errno=errno.ENOMEM):
            return Found(Cause.HOST_OOM, CERTAIN)
        case OSError(errno=errno.ESTALE | errno.EIO):
            return Found(Cause.NODE_FAILURE, LIKELY)
        case ImportError() | EntryError():
            return Found(Cause.IMPORT_ERROR, CERTAIN)
        case FloatingPointError():
            return Found(Cause.DIVERGED, LIKELY)
        case FileNotFoundError() | NotADirectoryError() | IsADirectoryError() | PermissionError():
            return Found(Cause.BAD_INPUT, LIKELY)
        case _:
            return NOTHING


def _kind_and_text(error: BaseException) -> tuple[str, str]:
    """Return type and text; of an exception that a DataLoader worker passed on, those of the original."""
    kind, text = type(error).__name__, str(error).strip()
    if not (text.startswith("Caught ") and " in DataLoader worker process " in text):
        return kind, text
    told = [line for line in text.splitlines() if line.strip() and not line[0].isspace()][1:]
    original = next((line for line in reversed(told) if ": " in line or line.replace(".", "").isidentifier()), "")
    name, _, words = original.partition(": ")
    return (name.rpartition(".")[2], words) if name.replace(".", "").isidentifier() else (kind, text)


def _message(kind: str, text: str) -> str:
    first = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return (f"{kind}: {first}" if first else kind)[:MESSAGE_LENGTH]


def _frames(error: BaseException, roots: Sequence[Path] = ()) -> list[Frame]:
    """Return the frames, the outermost first; with `roots` only those in the user's code, where there are any."""
    frames = [Frame(frame.filename, frame.name) for frame in traceback.extract_tb(error.__traceback__)]
    own = [frame for frame in frames if any(Path(frame.file).is_relative_to(root) for root in roots)]
    return own or frames
