"""The messages of a grid on disk: each is created exclusively, so that of two rounds one tells it, and so is each try to deliver it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence

import msgspec

from orchestrator.grid.notify_shape import KINDS
from orchestrator.messages.news import Told
from orchestrator.messages.words import Message
from orchestrator.store.files import create_exclusive, make_dir, read_json, write_atomic
from orchestrator.store.layout import GridPaths

MOST_TRIES = 6
RETRY_S = 60.0
"""After the first try; after each further one twice as long. Longer than a try takes: who finds no outcome leaves it alone so long."""

LASTING_S = 2 * 3600.0
"""A message that is older is sent no more: an address that was added today is not told what happened last week."""

RECENT_S = 24 * 3600.0
"""So long is told that a message was given up."""

SENT = "sent"

_NAME = re.compile(r"(?P<key>[a-z]+-[0-9a-z-]+)(?:\.(?P<target>[A-Za-z0-9_-]+)\.(?P<number>\d+))?\.json\Z")


class Try(msgspec.Struct, frozen=True, kw_only=True):
    """One try to deliver a message to one address; whoever made its file is the only one who writes it."""

    at: float
    host: str
    pid: int
    outcome: str = ""
    """SENT, or why not; empty while it is under way, and for ever where its process was killed."""


class Outbox(msgspec.Struct, frozen=True, kw_only=True):
    """What was told, and to whom it was delivered."""

    messages: tuple[Message, ...] = ()
    keys: frozenset[str] = frozenset()
    """Of all messages, those included whose file is damaged: they were told."""
    tries: dict[tuple[str, str], tuple[Try, ...]] = {}
    """(key, name of the address) → tries, oldest first."""

    @property
    def told(self) -> Told:
        """What later rounds do not tell again."""
        return Told(
            keys=self.keys,
            tokens=frozenset(each for message in self.messages for each in message.tokens),
            failures_at=max((message.at for message in self.messages if message.kind == "failures"), default=0.0),
        )


def read_outbox(paths: GridPaths) -> Outbox:
    """Read all messages of a grid and all tries to deliver them; files of other names are passed over."""
    try:
        names = sorted(os.listdir(paths.messages))
    except FileNotFoundError:
        return Outbox()
    matches = [match for match in map(_NAME.match, names) if match]
    keys = [match["key"] for match in matches if match["target"] is None]
    messages = (read_json(paths.message(key), Message) for key in keys)
    return Outbox(
        messages=tuple(sorted((message for message in messages if message is not None), key=_order)),
        keys=frozenset(keys),
        tries=_read_tries(paths, (match for match in matches if match["target"] is not None)),
    )


def _read_tries(paths: GridPaths, matches: Iterable[re.Match[str]]) -> dict[tuple[str, str], tuple[Try, ...]]:
    """A try whose file is damaged counts all the same: it was made."""
    tries: dict[tuple[str, str], list[tuple[int, Try]]] = {}
    for match in matches:
        number = int(match["number"])
        one = read_json(paths.message_try(match["key"], match["target"], number), Try)
        tries.setdefault((match["key"], match["target"]), []).append((number, one or Try(at=0.0, host="", pid=0)))
    return {pair: tuple(one for _, one in sorted(ones, key=lambda item: item[0])) for pair, ones in tries.items()}


def _order(message: Message) -> tuple[float, int]:
    """By time; of what one round tells, the start first and the end last."""
    return message.at, KINDS.index(message.kind) if message.kind in KINDS else len(KINDS)


def post(paths: GridPaths, message: Message, table: bytes = b"") -> bool:
    """Write a message down, for this round or a later one to deliver; say False when another round has told it."""
    make_dir(paths.messages)
    if table:  # before the message: whoever finds that sends it
        write_atomic(paths.message_table(message.key), table, durable=False)
    return create_exclusive(paths.message(message.key), msgspec.json.encode(message))


def is_due(message: Message, tries: Sequence[Try], now: float) -> bool:
    """Say whether a message is to be tried (again) at one address now."""
    if is_closed(message, tries, now):
        return False
    return not tries or now >= tries[-1].at + RETRY_S * 2 ** (len(tries) - 1)


def is_closed(message: Message, tries: Sequence[Try], now: float) -> bool:
    """Say whether nothing more is done to deliver a message to one address."""
    return any(one.outcome == SENT for one in tries) or len(tries) >= MOST_TRIES or now > message.at + LASTING_S


def pending(outbox: Outbox, names: Iterable[str], now: float) -> list[tuple[str, Message]]:
    """Return (name of the address, message) for all that is still to be delivered, now or later, oldest message first."""
    names = list(names)
    return [
        (name, message)
        for message in outbox.messages
        for name in names
        if not is_closed(message, outbox.tries.get((message.key, name), ()), now)
    ]


def undelivered(outbox: Outbox, now: float) -> list[str]:
    """Return a sentence for each message of the last day that was tried at an address until nothing more is done."""
    told = []
    for (key, name), tries in outbox.tries.items():
        given_up = len(tries) >= MOST_TRIES and not any(one.outcome == SENT for one in tries)
        if given_up and now - tries[-1].at <= RECENT_S:
            told.append(f"message {key}: not delivered to {name} in {len(tries)} tries: {tries[-1].outcome or 'it was interrupted'}")
    return told
