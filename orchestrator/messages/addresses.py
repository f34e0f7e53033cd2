"""Where messages go: apprise addresses, kept in the environment or in a file that only its owner can read."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.grid.notify_shape import TARGET_NAME
from orchestrator.store.errors import InputError, did_you_mean

VARIABLE = "MRSWEEP_NOTIFY"

_SCHEME = re.compile(r"[A-Za-z0-9]{1,20}://.")


@dataclass(frozen=True)
class Target:
    """One address."""

    name: str
    url: str = field(repr=False)
    """Holds a password more often than not: it is told to nobody but the process that sends."""
    problem: str = ""
    """Why nothing can be sent to it: a name that a grid writes, and that no address has."""


def address_file(environ: Mapping[str, str]) -> Path:
    """Return the file of addresses, which need not be there."""
    config = environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(config).expanduser() / "mrsweep" / "notify"


def read_targets(environ: Mapping[str, str]) -> tuple[Target, ...]:
    """Return all known addresses: those of MRSWEEP_NOTIFY, else those of the file.

    Raises InputError, which repeats nothing of an address, for what cannot be read and where none is known.
    """
    if environ.get(VARIABLE, "").strip():
        return parse_targets(environ[VARIABLE].split(), VARIABLE)
    file = address_file(environ)
    targets = parse_targets(_words(_read_private(file)), str(file))
    if not targets:
        raise InputError(
            f"{file}: no address is known, so nothing is told. Write a line 'lab mailtos://USER:PASSWORD@HOST' into it "
            f"(then: chmod 600 {file}), or set {VARIABLE}; docs/messages.md lists the kinds."
        )
    return targets


def choose_targets(targets: Iterable[Target], names: Iterable[str]) -> tuple[Target, ...]:
    """Return the addresses that a grid names, all where it names none.

    A name that nobody knows is an address with a problem: the others are served, and it is told as one that took nothing, until it
    is mended. Raises InputError where no name is known.
    """
    known = {target.name: target for target in targets}
    chosen = tuple(known.get(name) or Target(name, "", _unknown(name, known)) for name in names) or tuple(known.values())
    if all(target.problem for target in chosen):
        raise InputError(" ".join(target.problem for target in chosen))
    return chosen


def _unknown(name: str, known: Mapping[str, Target]) -> str:
    return f"notify.to names {name}, and no address has this name. {did_you_mean(name, known)}"


def parse_targets(words: Iterable[str], place: str) -> tuple[Target, ...]:
    """Read addresses, each with a name before it or without one; a place is a file or a variable."""
    targets: list[Target] = []
    name = ""
    for number, word in enumerate(words, start=1):
        if _SCHEME.match(word):
            targets.append(Target(name or str(len(targets) + 1), word))
            name = ""
        elif name or not TARGET_NAME.match(word):
            raise InputError(f"{place}: word {number} is neither a name nor an address. Write NAME KIND://…, one a line.")
        else:
            name = word
    if name:
        raise InputError(f"{place}: the last word has no address after it. Write NAME KIND://…, one a line.")
    _refuse_twins(targets, place)
    return tuple(targets)


def _refuse_twins(targets: Iterable[Target], place: str) -> None:
    seen: set[str] = set()
    for target in targets:
        if target.name in seen:
            raise InputError(f"{place}: two addresses have the name {target.name}. Give each its own.")
        seen.add(target.name)


def _words(text: str) -> Iterable[str]:
    """Yield the words of all lines that are no comments."""
    for line in text.splitlines():
        if not line.lstrip().startswith("#"):
            yield from line.split()


def _read_private(file: Path) -> str:
    """Return the text of a file that belongs to the user and that nobody else may read; nothing where there is none."""
    try:
        with open(file, "rb", opener=_open_at_once) as stream:
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode) or status.st_uid != os.getuid():
                raise InputError(f"{file}: is not a file of your own, so it is not read. Write one yourself.")
            if status.st_mode & 0o077:
                raise InputError(f"{file}: others can read it, and it holds passwords. Type: chmod 600 {file}")
            return stream.read().decode()
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError:
        raise InputError(f"{file}: is not a text in UTF-8. Write it anew.") from None


def _open_at_once(path: str, flags: int) -> int:
    """Open a file without waiting: a named pipe would keep the reader until somebody writes to it."""
    return os.open(path, flags | os.O_NONBLOCK)
