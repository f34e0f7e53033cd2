"""A token bucket that all commands of a user on a host share: bounds how often a cluster's queue is looked at, and counts every call.

A look is one squeue and at most one sacct. Who acts (launch, watch, requeue, cancel, prune) looks at once and may run into debt;
who only shows waits until a look is free. The state is a small file of the user's own; where none can be kept, nothing is bounded.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import socket
import stat
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import msgspec

from orchestrator.store.errors import StoreError
from orchestrator.store.files import make_dir, read_whole, write_atomic

T = TypeVar("T")

AT_ONCE = 10.0
"""Looks that may be taken at once after a quiet time."""
MOST_DEBT = 5.0
"""Looks that acting commands may owe; what they take beyond is not charged, so that showing never waits for long."""

_BIN_S = 600
_BINS_A_DAY, _BINS_AN_HOUR = 144, 6
_PATIENCE_S, _POLL_S = 0.5, 0.01
"""How long the lock is waited for: its holders need a millisecond, unless one is frozen."""

Clock = Callable[[], float]


class Bucket(msgspec.Struct, frozen=True, kw_only=True):
    """What is left, and what was spent."""

    level: float = AT_ONCE
    """Looks that may be taken now; negative: owed."""
    at: float = 0.0
    """When the level was right."""
    calls: dict[int, dict[str, int]] = {}
    """Ten-minute bin of the day count → command → how often it was called."""


class Spent(msgspec.Struct, frozen=True, kw_only=True):
    """What the commands of this user asked of a cluster from this host."""

    hour: dict[str, int]
    """Command → calls in the last hour, to ten minutes."""
    day: dict[str, int]
    left: float
    """Looks that may be taken at once; negative: owed."""
    refill_s: float
    """Time in which one look comes back."""
    note: str = ""
    """Why nothing is bounded or counted; empty: it is."""


def refill(bucket: Bucket, now: float, refill_s: float) -> Bucket:
    """Return the bucket at `now`, within its bounds. A clock that was set back adds nothing, one that was set forward no more than fits."""
    came = max(0.0, now - bucket.at) / max(refill_s, 1e-3)
    level = min(AT_ONCE, max(-MOST_DEBT, bucket.level) + came)
    return msgspec.structs.replace(bucket, level=level, at=now)


def charge(bucket: Bucket, now: float, looks: float, calls: Mapping[str, int]) -> Bucket:
    """Return the bucket after `looks`, with `calls` counted; counts older than a day, or of a time to come, are dropped."""
    current = int(now // _BIN_S)
    kept = {place: dict(counts) for place, counts in bucket.calls.items() if current - _BINS_A_DAY < place <= current}
    if calls:
        kept[current] = dict(Counter(kept.get(current, {})) + Counter(calls))
    return Bucket(level=bucket.level - looks, at=bucket.at, calls=kept)


def count_calls(bucket: Bucket, now: float, bins: int) -> dict[str, int]:
    """Return command → calls in the newest `bins` bins."""
    current = int(now // _BIN_S)
    total: Counter[str] = Counter()
    for place, counts in bucket.calls.items():
        if current - bins < place <= current:
            total.update(counts)
    return dict(sorted(total.items()))


class CallBudget:
    """The bucket of one cluster, kept in `folder`; `folder` None: no bucket, everything is granted."""

    def __init__(self, folder: Path | None, name: str, *, refill_s: float, clock: Clock = time.time, note: str = "") -> None:
        self.refill_s = refill_s
        self.note = note
        self._folder = folder
        self._name = name
        self._clock = clock

    def seen_file(self, key: str) -> Path | None:
        """Return where the last answer about `key` is kept; None where nothing can be kept."""
        digest = hashlib.sha256(key.encode(errors="surrogateescape")).hexdigest()[:16]
        return self._folder / f"seen-{self._name}-{digest}.json" if self._folder else None

    def look(self) -> None:
        """Charge a look that is taken in any case."""
        self._update(lambda bucket, now: (charge(bucket, now, 1.0, {}), None))

    def try_look(self) -> float:
        """Charge a look and return 0.0, or return how many seconds it is until one is free."""

        def change(bucket: Bucket, now: float) -> tuple[Bucket, float]:
            if bucket.level < 1.0:
                return bucket, (1.0 - bucket.level) * self.refill_s
            return charge(bucket, now, 1.0, {}), 0.0

        return self._update(change) or 0.0

    def count(self, calls: Mapping[str, int]) -> None:
        """Remember calls, which cost no look."""
        if calls:
            self._update(lambda bucket, now: (charge(bucket, now, 0.0, calls), None))

    def spent(self) -> Spent:
        """Return what was spent; changes nothing."""
        now = self._clock()
        bucket = refill(self._read(), now, self.refill_s)
        hour, day = (count_calls(bucket, now, bins) for bins in (_BINS_AN_HOUR, _BINS_A_DAY))
        return Spent(hour=hour, day=day, left=round(bucket.level, 1), refill_s=self.refill_s, note=self.note)

    def _update(self, change: Callable[[Bucket, float], tuple[Bucket, T]]) -> T | None:
        """Change the file under its lock; None where that cannot be done: a command never fails for it."""
        if self._folder is None:
            return None
        try:
            with _locked(self._folder / f"calls-{self._name}.lock"):
                now = self._clock()
                bucket, answer = change(refill(self._read(), now, self.refill_s), now)
                write_atomic(self._file(self._folder), msgspec.json.encode(bucket), durable=False)
                return answer
        except OSError as error:
            self.note = f"{self._folder}: {error.strerror or error}; looks are not counted"
            return None

    def _read(self) -> Bucket:
        """Return what the file says; a missing, damaged or foreign one is a full bucket."""
        if self._folder is None:
            return Bucket()
        try:
            return msgspec.json.decode(read_whole(self._file(self._folder)), type=Bucket)
        except (OSError, msgspec.DecodeError):
            return Bucket()

    def _file(self, folder: Path) -> Path:
        return folder / f"calls-{self._name}.json"


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock among the processes of this host; TimeoutError when somebody holds it for long (filelock takes 45 ms to import)."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{path.name} is held by another process") from None
                time.sleep(_POLL_S)
        yield
    finally:
        os.close(descriptor)


def open_budget(environment: Mapping[str, str], *, clusters: str, refill_s: float, clock: Clock = time.time) -> CallBudget:
    """Return the bucket of the cluster that `environment` and the option --clusters mean, on this host."""
    cluster = hashlib.sha256(f"{environment.get('SLURM_CONF', '')}\n{clusters}".encode(errors="surrogateescape")).hexdigest()[:8]
    folder, note = state_folder(environment)
    return CallBudget(folder, f"{socket.gethostname()[:60]}-{cluster}", refill_s=refill_s, clock=clock, note=note)


def state_folder(environment: Mapping[str, str]) -> tuple[Path | None, str]:
    """Return a folder that only this user can write to, or None and why there is none."""
    note = "neither XDG_RUNTIME_DIR, XDG_STATE_HOME nor HOME is set; looks are not counted"
    for base in _bases(environment):
        folder = base / "mrsweep"
        problem = _make_private(folder)
        if not problem:
            return folder, ""
        note = f"{folder}: {problem}; looks are not counted"
    return None, note


def _bases(environment: Mapping[str, str]) -> Iterator[Path]:
    """Yield where the state may lie, the best first: a folder of this host, whose locks are quick, then the home."""
    runtime = environment.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    if os.path.isdir(runtime):
        yield Path(runtime).absolute()
    if state := environment.get("XDG_STATE_HOME"):
        yield Path(state).absolute()
    elif home := environment.get("HOME"):
        yield Path(home, ".local", "state").absolute()


def _make_private(folder: Path) -> str:
    """Make the folder; return what speaks against it, empty when it is ours alone."""
    try:
        make_dir(folder)
        status = folder.lstat()
    except (StoreError, OSError) as error:
        cause = error.__cause__ if isinstance(error, StoreError) else error
        return f"cannot be made ({getattr(cause, 'strerror', None) or cause})"
    if not stat.S_ISDIR(status.st_mode):
        return "is no folder, or a link"
    if status.st_uid != os.getuid():
        return f"belongs to user {status.st_uid}"
    if stat.S_IMODE(status.st_mode) & 0o077:
        return "is open to others (chmod 700 closes it)"
    return "" if os.access(folder, os.W_OK | os.X_OK) else "cannot be written to"
