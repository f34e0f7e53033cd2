"""Processes that read side by side: of many thousand small files, opening and decoding each is what takes the time.

They are programs of their own and no copies of this process, which may have threads, or be a notebook.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack, suppress

import msgspec

from orchestrator.metrics.cache import from_bytes, to_bytes
from orchestrator.metrics.columns import join
from orchestrator.metrics.derived import Damaged
from orchestrator.metrics.looking import Asked, News, read_news

RUNS_EACH = 5_000
"""For fewer runs a process is not worth its start."""

MOST = 4
"""Processes, this one among them: a login node is shared."""


class _Question(msgspec.Struct, frozen=True, array_like=True):
    """What a reader is told."""

    runs: Sequence[Asked]
    now: float


class _Answer(msgspec.Struct, frozen=True, array_like=True):
    """What it found."""

    columns: bytes
    """As the cache holds them."""
    gone: list[str]


def read_all_news(runs: Sequence[Asked], now: float) -> News:
    """Read the runs that have news, a share of them here and the others in processes beside this one."""
    shares = _shares(runs, min(MOST, len(os.sched_getaffinity(0)), len(runs) // RUNS_EACH))
    with ExitStack() as opened:
        readers = [_begin(share, now, opened) for share in shares[1:]]
        parts = [read_news(shares[0], now)]
        parts += [(reader and _end(reader)) or read_news(share, now) for reader, share in zip(readers, shares[1:], strict=True)]
    return parts[0] if len(parts) == 1 else News(join([part.columns for part in parts]), [run for part in parts for run in part.gone])


def _shares(runs: Sequence[Asked], count: int) -> list[Sequence[Asked]]:
    """Return the runs in `count` pieces of the same length, in their order; in one where `count` is 0."""
    length = -(-len(runs) // max(1, count))
    return [runs[first : first + length] for first in range(0, len(runs), length or 1)] or [runs]


def _begin(share: Sequence[Asked], now: float, opened: ExitStack) -> subprocess.Popen[bytes] | None:
    """Start a reader, which ends with the stack; None where there can be no further process."""
    command = [sys.executable, "-P", "-m", __name__]
    try:
        question = msgspec.msgpack.encode(_Question(share, now))
        reader = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    except (OSError, UnicodeEncodeError):  # a path may hold bytes that are no text
        return None
    opened.enter_context(reader)
    opened.callback(reader.kill)
    assert reader.stdin is not None
    with suppress(OSError), reader.stdin as stdin:
        stdin.write(question)
    return reader


def _end(reader: subprocess.Popen[bytes]) -> News | None:
    """Return what a reader found; None where it died."""
    assert reader.stdout is not None
    try:
        answer = msgspec.msgpack.decode(reader.stdout.read(), type=_Answer)
        return News(from_bytes(answer.columns), answer.gone)
    except (OSError, Damaged, msgspec.DecodeError, UnicodeDecodeError):
        return None


def main() -> None:
    """Read the share that standard input holds."""
    question = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=_Question)
    news = read_news(question.runs, question.now)
    sys.stdout.buffer.write(msgspec.msgpack.encode(_Answer(to_bytes(news.columns), news.gone)))


if __name__ == "__main__":
    main()
