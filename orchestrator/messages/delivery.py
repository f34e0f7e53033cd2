"""Delivers messages: each try is claimed, runs in a process of its own, and is ended when its time is up."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec

from orchestrator.messages.addresses import Target
from orchestrator.messages.outbox import MOST_TRIES, SENT, Outbox, Try, is_due
from orchestrator.messages.post import Request
from orchestrator.messages.words import Message
from orchestrator.store.errors import InputError
from orchestrator.store.files import create_exclusive, write_atomic
from orchestrator.store.layout import GridPaths

LIMIT_S = 20.0
"""All that one round sends to one address takes at most so long; several addresses are served at the same time."""

WITH_TABLE = 2
"""Tries that carry the table; a server that refuses it gets the message alone."""

_MOST_AT_ONCE = 8
_COMMAND = (sys.executable, "-P", "-m", "orchestrator.messages.post")

Clock = Callable[[], float]


def check_installed() -> None:
    """Raise InputError where the library that sends is missing."""
    if importlib.util.find_spec("apprise") is None:
        raise InputError("Messages need apprise, which is not installed, so nothing is told. Type: pip install 'mrsweep[messages]'")


def deliver(
    paths: GridPaths, outbox: Outbox, targets: Iterable[Target], *, clock: Clock = time.time, limit_s: float = LIMIT_S
) -> list[str]:
    """Send what is due, to all addresses at the same time; returns a sentence for each message that an address did not take."""
    now = clock()
    due = {target: messages for target in targets if (messages := _due(outbox, target, now))}
    if not due:
        return []

    def serve(target: Target) -> list[str]:
        return _serve(paths, outbox, target, due[target], clock=clock, limit_s=limit_s)

    with ThreadPoolExecutor(min(_MOST_AT_ONCE, len(due))) as pool:
        return [sentence for told in pool.map(serve, due) for sentence in told]


def _due(outbox: Outbox, target: Target, now: float) -> list[Message]:
    return [message for message in outbox.messages if is_due(message, outbox.tries.get((message.key, target.name), ()), now)]


def _serve(paths: GridPaths, outbox: Outbox, target: Target, messages: Sequence[Message], *, clock: Clock, limit_s: float) -> list[str]:
    """Send one message after the other until one is not accepted or the time is up; the others are tried in a later round."""
    ends = time.monotonic() + limit_s
    for message in messages:
        left_s = ends - time.monotonic()
        number = 1 + len(outbox.tries.get((message.key, target.name), ()))
        if left_s < limit_s / 2:
            return []
        outcome = _try(paths, message, target, number, clock=clock, limit_s=left_s)
        if outcome not in (SENT, ""):
            more = "tried again later" if number < MOST_TRIES else f"given up after {number} tries"
            return [f"message {message.key}: not delivered to {target.name}: {outcome.removesuffix('.')}; {more}"]
    return []


def _try(paths: GridPaths, message: Message, target: Target, number: int, *, clock: Clock, limit_s: float) -> str:
    """Make one try and write down its outcome; empty where another round makes it."""
    file = paths.message_try(message.key, target.name, number)
    claim = Try(at=clock(), host=os.uname().nodename, pid=os.getpid())
    if not create_exclusive(file, msgspec.json.encode(claim)):
        return ""
    table = str(paths.message_table(message.key)) if message.table and number <= WITH_TABLE else ""
    request = Request(url=target.url, subject=message.subject, text=message.text, table=table, table_name=message.table)
    outcome = target.problem or send(request, limit_s=limit_s) or SENT
    write_atomic(file, msgspec.json.encode(msgspec.structs.replace(claim, outcome=outcome)), durable=False)
    return outcome


def send(request: Request, *, limit_s: float = LIMIT_S) -> str:
    """Send in a process of its own; returns nothing where the message was accepted, else why not."""
    try:
        process = subprocess.Popen(
            _COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
        )
    except OSError as error:
        return f"no process could be started ({error.strerror})"
    with process:
        try:
            answer, _ = process.communicate(msgspec.json.encode(request), timeout=limit_s)
        except subprocess.TimeoutExpired:
            return f"no answer in {limit_s:.0f} s"
        finally:
            process.kill()
    try:
        return msgspec.json.decode(answer, type=str)
    except msgspec.DecodeError:
        return f"its process ended with code {process.returncode}"
