"""What happened, one typed line each: the ledger's events and the lines of a worker's journal."""

from __future__ import annotations

from typing import Any

import msgspec

from orchestrator.store.states import Cause, State

Number = float | int | str | None
"""A metric; NaN and infinities, which JSON cannot hold, are the words "nan", "inf", "-inf"."""


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="t", tag=str.lower):
    """One line; `at` is the writer's clock, seconds since 1970."""

    at: float


class Opened(Event, frozen=True, kw_only=True):
    """First line of a segment: who holds the pen, and how much of the previous segment counts."""

    epoch: int
    previous: int
    previous_bytes: int
    host: str
    boot_id: str
    pid: int
    start_time: float
    nonce: str


class Released(Event, frozen=True, kw_only=True):
    """Last line of a segment whose writer put the pen down."""


class Applied(Event, frozen=True, kw_only=True):
    """A version of the grid file was applied; the runs it left out and took back are named."""

    version: int
    added: int = 0
    orphans: tuple[str, ...] = ()
    revived: tuple[str, ...] = ()


class Intent(Event, frozen=True, kw_only=True):
    """Written before sbatch: these runs, with these attempt numbers, go into the submission `token`."""

    token: str
    runs: tuple[tuple[str, int], ...]
    tasks: int
    max_parallel: int
    """Runs of the submission that may hold resources at once."""
    at_a_time: int = 1
    """Runs that one task computes side by side."""
    listed: bool = False
    """Workers take any row; otherwise task i computes row i."""
    resources: dict[str, Any] = {}
    """What one run of the submission needs."""
    overrides: dict[str, dict[str, Any]] = {}
    """Run → dotted runtime keys that this attempt sets, decided by policy or by a person."""
    exclude: tuple[str, ...] = ()
    """Nodes that the scheduler was asked to avoid."""
    reason: str = "launch"
    """launch, requeue, watch, or the prepare command."""


class Submitted(Event, frozen=True, kw_only=True):
    """The scheduler took the submission."""

    token: str
    job_id: str
    cluster: str = ""


class Refused(Event, frozen=True, kw_only=True):
    """The scheduler said no, or the intent was never carried out: its runs wait again."""

    token: str
    message: str
    withdrawn: bool = False
    """By us: it had not been taken, and none of its runs waits any more."""


class Throttled(Event, frozen=True, kw_only=True):
    """Others have drained, and this array may run more at once; written before the scheduler is told."""

    token: str
    max_parallel: int
    refused: bool = False
    """The scheduler said no: the array keeps `max_parallel` to its end (an ordinary user may not change it since Slurm 23.02)."""


class Recalled(Event, frozen=True, kw_only=True):
    """Waiting tasks are taken out of an array, for their runs to be submitted anew; written before the scheduler is told."""

    token: str
    rows: tuple[int, ...]


class Started(Event, frozen=True, kw_only=True):
    """A worker claimed an attempt."""

    run: str
    attempt: int
    restart: int = 0
    token: str
    index: int
    host: str
    node: str = ""
    """The scheduler's name of the host."""
    job_id: str = ""


class Ended(Event, frozen=True, kw_only=True):
    """An attempt ended; for COMPLETED, `sha256` is that of its result.json."""

    run: str
    attempt: int
    restart: int = 0
    state: State
    cause: Cause | None = None
    message: str = ""
    signature: str = ""
    confidence: str = ""
    """certain, likely or guess: how sure the cause is."""
    evidence: tuple[str, ...] = ()
    """What the cause was read from; each line says its source first."""
    sha256: str = ""
    metrics: dict[str, Number] = {}
    best: Number = None
    best_step: int | None = None
    last: Number = None
    last_step: Number = None
    """Of the newest report."""
    saved_at: float | None = None
    """When this attempt wrote its newest checkpoint; None: it wrote none."""
    runtime_s: float = 0.0
    peak_mem_gb: float = 0.0
    peak_gpu_gb: float = 0.0
    host: str = ""


class Changed(Event, frozen=True, kw_only=True):
    """A run changed its state by a decision: cancelled, pruned, restored, blocked, held, taken back."""

    run: str
    state: State
    cause: Cause | None = None
    reason: str = ""
    by: str = ""


class Adopted(Event, frozen=True, kw_only=True):
    """A completed run of the same id in another grid stands for this one."""

    run: str
    grid: str
    attempt: str
    sha256: str = ""
    metrics: dict[str, Number] = {}
    best: Number = None
    best_step: int | None = None
    last: Number = None
    runtime_s: float = 0.0


class Decided(Event, frozen=True, kw_only=True):
    """A rule decided; written before its act, for people who ask why. What keeps the act single is the intent that follows."""

    decision: str
    run: str
    action: str
    reason: str


class Asked(Event, frozen=True, kw_only=True):
    """A person wants a run computed again that finds no slot now: it is submitted when one is free."""

    run: str
    resources: dict[str, Any] = {}
    """What its next attempt asks for."""
    overrides: dict[str, Any] = {}
    """Dotted runtime keys that its next attempt sets."""
    by: str = ""


class Paused(Event, frozen=True, kw_only=True):
    """The grid is paused: nothing of it starts until a person resumes it; written before anything is held."""

    reason: str
    signature: str = ""
    runs: tuple[str, ...] = ()
    """The runs that ended alike."""
    by: str = ""


class Resumed(Event, frozen=True, kw_only=True):
    """A person lifted the pause, or released what waited for the canaries."""

    by: str = ""


class Looked(Event, frozen=True, kw_only=True):
    """Somebody looked at the grid: which sources answered. Written only when something changed."""

    sources: tuple[str, ...] = ()


LedgerEvent = (
    Opened
    | Released
    | Applied
    | Intent
    | Submitted
    | Refused
    | Throttled
    | Recalled
    | Started
    | Ended
    | Changed
    | Adopted
    | Decided
    | Asked
    | Paused
    | Resumed
    | Looked
)


class Arrived(Event, frozen=True, kw_only=True):
    """First line of a worker's journal: what identifies the process and its task."""

    host: str
    boot_id: str
    pid: int
    start_time: float
    index: int
    restart: int = 0
    job_id: str = ""
    gpus: tuple[str, ...] = ()


class Ready(Event, frozen=True, kw_only=True):
    """Second line of a worker's journal: what is loaded, and how its runs are started."""

    preloaded: dict[str, str] = {}
    """Module → version, or why it could not be loaded."""
    start: str = "fork"
    """fork, or "spawn: " and why."""


class Measured(Event, frozen=True, kw_only=True):
    """Memory of a run while it lives, journalled when it has grown by a tenth."""

    run: str
    attempt: int
    pss_gb: float
    gpu_gb: float = 0.0


class Left(Event, frozen=True, kw_only=True):
    """Last line of a worker's journal: why it took no more runs."""

    reason: str


JournalLine = Arrived | Ready | Started | Measured | Ended | Left

decode_event = msgspec.json.Decoder(LedgerEvent).decode
decode_journal_line = msgspec.json.Decoder(JournalLine).decode
