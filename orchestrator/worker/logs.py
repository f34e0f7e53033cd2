"""From the end of a log to a diagnosis: the exception or the line that tells why, among much that only follows from it (pure)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from orchestrator.store.states import Cause
from orchestrator.worker.causes import MESSAGE_LENGTH, WEAK, Diagnosis, Link, decisive, evidence_lines, excerpt, is_translated
from orchestrator.worker.phrases import CERTAIN, GUESS, LIKELY, LONGEST, NOTHING, Found, cause_in, cause_of
from orchestrator.worker.signatures import SIGNATURE_LENGTH, signature, without_numbers
from orchestrator.worker.tracebacks import Raised, chains, numbered, raised_in
from orchestrator.worker.trailers import Trailer, trailers

TAIL_BYTES = 65_536
"""So much of a log's end is read."""
TELLING_LINES = 100
"""Of a log without a traceback, so many of the last lines are looked at."""
HANDLED_AFTER = 50
"""A traceback that so many lines of other output follow ended nothing."""

# Expressions are left to the cache of `re`: a program that diagnoses nothing does not pay for their compilation.
_ESCAPES = r"\x1b(?:\[[0-?]{0,64}[ -/]{0,8}[@-~]|\][^\x07\x1b\n]{0,2000}(?:\x07|\x1b\\)?|.)"
_CONTROL = r"[^\t\n\r\x20-\x7e\xa0-\ud7ff\ue000-\U0010ffff]|[\u200b-\u200f\u202a-\u202e\u2066-\u2069]"
_PASSING = (
    r"\b(WARN(ING)?|INFO|DEBUG)\b|\[(Info|Warning|Debug)\]|^[WID]\d{4} |Warning: |"
    r"(?i:\b(warning|retry(ing)?|skip(s|ped|ping)?|ignor(ed|ing)|caught|recovered|falling back)\b)"
)
_QUOTED = r"\s*[│╭╰┃❱]|\+{1,3} |\s+(\^|~)+\s*$"
_NOISE = r"wandb: |frame #\d|\s*#\d+ |Exception raised from |\s*$"
_ERRORS = r"(slurmstepd|slurmd|srun)\b|.{0,120}NCCL WARN Cuda failure"
"""Lines that tell of errors, whatever words they use."""
_MESSENGERS = frozenset(
    {"ChildFailedError", "CalledProcessError", "ProcessRaisedException", "SignalException", "BrokenPipeError", "CommandFailed"}
)
"""Exceptions that only tell of another one, elsewhere."""
_MESSAGES = (
    r"NCCL|ProcessGroup|Connection (closed|reset|refused)|Broken pipe|Socket Timeout|store.{0,40}(timed? ?out|failed)|"
    r"Pin memory thread|background workers? (is|are) no longer alive|"
    r"Caught \w+ in DataLoader worker|returned non-zero exit status|collective operation|watchdog"
)
_DISTRIBUTED = r"torch[./]distributed|ChildFailedError|Sending process \d+ closing signal|ProcessRaisedException|-- Process \d+ terminated"
_ROOT = r"(?s)Root Cause.{0,400}?\brank +: (\d+)"


class Told(NamedTuple):
    """A chain of exceptions, judged."""

    found: Found
    raised: Raised
    """The one that counts."""
    message: str
    last: int
    """The number of the chain's last line."""
    aside: bool
    """Raised in a thread or a destructor: it tells only where the process itself has nothing to say."""

    @property
    def is_message(self) -> bool:
        """Whether it only tells of something that happened elsewhere."""
        words = self.raised.kind in _MESSENGERS or re.search(_MESSAGES, self.message[:LONGEST]) is not None
        return words and (self.found.cause is Cause.ERROR or self.found.confidence == GUESS)


def classify_log(text: str) -> Diagnosis:
    """Say why a process failed that left only its output; `text` is the end of its log.

    What Slurm wrote about a limit comes first, then the exception that ended the process (of several ranks, the first),
    then single lines that name a cause. Lines of code that a traceback quotes, and warnings, tell nothing.
    """
    lines = readable(text)
    raised = raised_in(numbered(lines))
    told = _told(raised, lines)
    ended = [trailer for trailer in trailers(lines) if trailer.cause is not Cause.HOST_OOM]
    if ended and not (told is not None and _hangs(told)):
        return _from_trailer(ended[-1], lines)
    line = _telling_line(lines, raised)
    if told is not None and (line is None or not _outweighs(line[0], told, line[1], lines)):
        return _from_exception(told)
    return _from_line(line[0], line[2], lines) if line else _from_nothing(lines)


def readable(text: str) -> list[str]:
    """Return the lines of a log without escape sequences and control characters; overlong ones in pieces."""
    plain = re.sub(_CONTROL, "", re.sub(_ESCAPES, "", text[-TAIL_BYTES:]))
    found = plain.replace("\r", "\n").split("\n")
    return [line[start : start + LONGEST] for line in found for start in range(0, max(1, len(line)), LONGEST)]


def _told(raised: Sequence[Raised], lines: Sequence[str]) -> Told | None:
    """Return the chain of exceptions that ended the process, if there is one."""
    all_told = [_judge(chain) for chain in chains(raised)]
    judged = [told for told in all_told if not told.aside]
    if not judged:
        return None
    serious = next(filter(None, ([told for told in each if not told.is_message] for each in (judged, all_told))), judged)
    text = "\n".join(lines)
    if not _is_distributed(text, judged):
        return serious[-1] if not _is_handled(serious[-1], lines) else None
    root = re.search(_ROOT, text)
    first = [told for told in serious if root is not None and told.raised.rank == root[1]]
    return (first or serious)[0]


def _is_distributed(text: str, judged: Iterable[Told]) -> bool:
    return any(told.raised.rank for told in judged) or re.search(_DISTRIBUTED, text) is not None


def _hangs(told: Told) -> bool:
    """Say whether one rank failed, so that the others waited for it until Slurm ended them."""
    return bool(told.raised.rank) and told.found.confidence != GUESS


def _is_handled(told: Told, lines: Sequence[str]) -> bool:
    after = [line for line in lines[told.last + 1 :] if not re.match(_NOISE, line)]
    return len(after) >= HANDLED_AFTER


def _judge(chain: Sequence[Raised]) -> Told:
    links = [_link(raised, chain[place + 1] if place + 1 < len(chain) else None) for place, raised in enumerate(chain)]
    place = decisive(links)
    raised = chain[place]
    message = f"{raised.kind}: {raised.text}" if raised.text else raised.kind
    return Told(links[place].found, raised, message, max(each.last for each in chain), all(each.aside for each in chain))


def _link(raised: Raised, newer: Raised | None) -> Link:
    explained = newer is None or newer.follows != "handling" or is_translated(raised.frames, newer.frames)
    return Link(cause_of(raised.kind, raised.text, raised.frames), explained=explained)


def _telling_line(lines: Sequence[str], raised: Sequence[Raised]) -> tuple[Found, int, str] | None:
    """Return (what it says, its number, the line): the last that names what the machine lacked, else the last that names anything."""
    quoted = {number for each in raised for number in range(each.first, each.last + 1)}
    start = max(0, len(lines) - TELLING_LINES)
    found = [
        (says, number, line.strip())
        for number, line in enumerate(lines[start:], start)
        if number not in quoted and not _is_passing(line) and (says := cause_in(line.strip())).cause is not Cause.ERROR
    ]
    strong = [each for each in found if each[0].cause not in WEAK]
    sure = [each for each in strong if each[0].confidence != GUESS]
    return next(iter((sure or strong or found)[-1:]), None)


def _is_passing(line: str) -> bool:
    """Say whether a line only quotes code, or tells of what did no harm."""
    return re.match(_QUOTED, line) is not None or (re.search(_PASSING, line[:LONGEST]) is not None and re.match(_ERRORS, line) is None)


def _outweighs(says: Found, told: Told, number: int, lines: Sequence[str]) -> bool:
    """Say whether a single line tells more than the exception: one that is only a messenger, or that a kill for memory followed."""
    if told.is_message:
        return True
    killed = number > told.last and says.cause is Cause.HOST_OOM
    return killed and told.found.cause is Cause.ERROR and not _is_distributed("\n".join(lines), [told])


def _from_exception(told: Told) -> Diagnosis:
    known = told.found.cause is not Cause.ERROR
    message = " ".join(told.message.split("\n", 1)[0].split())[:MESSAGE_LENGTH]
    return Diagnosis(
        cause=told.found.cause,
        message=message,
        signature=signature(told.raised.kind, told.raised.frames, told.raised.text),
        excerpt=excerpt("\n".join(told.raised.lines)),
        confidence=told.found.confidence if known else LIKELY,
        evidence=evidence_lines(f"log: {message}"),
    )


def _from_trailer(trailer: Trailer, lines: Sequence[str]) -> Diagnosis:
    said = trailer.line.strip()[:MESSAGE_LENGTH]
    return Diagnosis(
        cause=trailer.cause,
        message=said,
        signature=trailer.cause.value,
        excerpt=excerpt("\n".join(lines)),
        confidence=CERTAIN,
        evidence=evidence_lines(f"log: {said}"),
    )


def _from_line(says: Found, line: str, lines: Sequence[str]) -> Diagnosis:
    weak = says.cause in WEAK and says.confidence != CERTAIN  # a file may be missing without harm
    return Diagnosis(
        cause=says.cause,
        message=line[:MESSAGE_LENGTH],
        signature=without_numbers(line)[:SIGNATURE_LENGTH],
        excerpt=excerpt("\n".join(lines)),
        confidence=GUESS if weak else says.confidence,
        evidence=evidence_lines(f"log: {line}"),
    )


def _from_nothing(lines: Sequence[str]) -> Diagnosis:
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    said = last[:MESSAGE_LENGTH]
    return Diagnosis(
        cause=NOTHING.cause,
        message=said,
        signature=without_numbers(said)[:SIGNATURE_LENGTH],
        excerpt=excerpt("\n".join(lines)),
        confidence=NOTHING.confidence,
        evidence=evidence_lines(f"log: {said}" if said else ""),
    )


def with_exit(said: Diagnosis, exit_: str) -> Diagnosis:
    """Return a log's diagnosis with how its process ended before it."""
    return msgspec.structs.replace(said, evidence=evidence_lines(f"exit: {exit_}", *said.evidence))
