"""The error family: every message names the file, key, value and way out; each class carries its exit code.

MrsweepError
├── InputError                 exit 2: the user can mend it
│   ├── SpecError              a grid file or a config
│   ├── EntryError             an entry or schema that cannot be imported
│   ├── ProfileError           a profile or the resources it grants
│   ├── SelectionError         a run id, --where or --state that matches nothing or too much
│   ├── LaunchConflict         the grid on disk disagrees with the one that was given
│   └── StoreError             a runs folder that is unwritable, foreign or damaged
├── Busy                       exit 1: somebody else holds the pen
├── RunFailed                  exit 1: a run computed in the foreground failed
└── ClusterError               exit 1: the scheduler
    ├── SubmitRefused          it said no; nothing was queued
    ├── ChangeRefused          it said no; the job goes on as it was
    └── SubmitUnknown          no usable answer; the jobs may or may not exist
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class MrsweepError(Exception):
    """Any failure that is told in one line, without a traceback."""

    exit_code = 1


class InputError(MrsweepError):
    """Something the user wrote or chose cannot be used."""

    exit_code = 2


class SpecError(InputError):
    """A grid file, a base file or a config is wrong."""


class EntryError(InputError):
    """An entry or schema cannot be imported or called."""


class ProfileError(InputError):
    """A profile is unknown or malformed, or cannot grant the resources.

    `key` is the key of `resources` at fault, such as mem_gb or sbatch.constraint; empty: the profile is at fault.
    """

    def __init__(self, message: str, *, key: str = "") -> None:
        super().__init__(message)
        self.key = key


class SelectionError(InputError):
    """A run id, an expression or a state selects nothing, or two things."""


class LaunchConflict(InputError):
    """What is on disk disagrees with what was asked; nothing was written."""


class StoreError(InputError):
    """A runs folder cannot be used: unwritable, foreign, symlinked or damaged."""


class Busy(MrsweepError):
    """Another process is writing to this grid."""


class RunFailed(MrsweepError):
    """A run computed in the foreground did not complete."""


class ClusterError(MrsweepError):
    """The scheduler failed or does not answer."""


class SubmitRefused(ClusterError):
    """The scheduler said no; nothing was queued."""


class ChangeRefused(ClusterError):
    """The scheduler said no to a change of a job, which goes on as it was."""


class SubmitUnknown(ClusterError):
    """The scheduler gave no usable answer; the jobs may or may not exist."""


@contextmanager
def told_at(place: object) -> Iterator[None]:
    """Put a place, such as file:line, before the message of every InputError that is raised inside."""
    try:
        yield
    except InputError as error:
        error.args = (f"{place}: {error}",)
        raise


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return "Did you mean a? Known: a, b." with the names nearest to `name` first."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    hint = f"Did you mean {near[0]}? " if near else ""
    rest = near + [other for other in names if other not in near]
    listed = ", ".join(rest[:12]) + (", …" if len(rest) > 12 else "")
    return f"{hint}Known: {listed or 'none'}."
