"""The reasons for which Slurm lets a job wait, in plain words, and what would start sooner (pure)."""

from __future__ import annotations

import re
from typing import NamedTuple

import msgspec

from orchestrator.cluster.resources import Resources


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """A reason as people say it."""

    sentence: str
    advice: str = ""
    """What would start sooner; empty where nothing would."""
    commands: tuple[str, ...] = ()
    """Verbs of mrsweep that do it, one after the other: "cancel GRID --state queued"."""


class _Rule(NamedTuple):
    """How reasons of one pattern are told. `{asked}` and `{time}` are what the run asks for, `{limit}` the partition's."""

    pattern: str
    sentence: str
    advice: str = ""
    commands: tuple[str, ...] = ()


_FILLS_GAPS = "a shorter time limit lets a run fill a gap"
_ADVISE = ("status GRID --advise",)
_AGAIN = ("cancel GRID --state queued", "requeue GRID --state cancelled")
_LESS = ("cancel GRID --state queued", "requeue GRID --state cancelled --set resources.KEY=VALUE")

_RULES = (
    _Rule(r"None|\(null\)|", "Slurm has not considered it yet"),
    _Rule(r"Priority", "jobs of others come first in the queue", _FILLS_GAPS, _ADVISE),
    _Rule(r"Resources", "it is next, as soon as {asked} are free", _FILLS_GAPS, _ADVISE),
    _Rule(
        r"JobArrayTaskLimit",
        "as many runs compute as max_parallel of the grid allows",
        "raise resources.max_parallel in the grid file, and launch it again",
    ),
    _Rule(r"BeginTime", "its time to begin has not come; after a requeue Slurm waits two minutes"),
    _Rule(r"Dependency", "another job of the grid has to end first: its prepare command"),
    _Rule(
        r"DependencyNeverSatisfied",
        "the job that had to end first failed, so that it never starts",
        "mend the prepare command, and submit again",
        _AGAIN,
    ),
    _Rule(r"JobHeldUser", "somebody holds it (scontrol hold)", "release it: scontrol release JOB"),
    _Rule(r"JobHeldAdmin", "an administrator holds it", "ask the administrators"),
    _Rule(r"JobHoldMaxRequeue|MaxRequeue", "Slurm requeued it so often that it holds it now", "submit it again", _AGAIN),
    _Rule(
        r"launch failed requeued held|(?i:job ?launch ?failure)|JobHeld.*",
        "a node could not start it, and Slurm holds it",
        "release it (scontrol release JOB), or submit it again",
        _AGAIN,
    ),
    _Rule(
        r"ReqNodeNotAvail.*|(?i:nodes required for job are down.*)",
        "nodes that it needs are down, drained, or reserved for maintenance",
        "a time limit that ends before the maintenance lets it start",
        _ADVISE,
    ),
    _Rule(r"NodeDown|FrontEndDown", "the node that it needs is down", "submit it again, without naming a node", _AGAIN),
    _Rule(r"Reservation.*|ResvDel.*", "its reservation has not begun, or is gone"),
    _Rule(
        r"PartitionDown|PartitionInactive",
        "the partition starts no jobs at present",
        "another partition: resources: {sbatch: {partition: NAME}} in the grid file",
    ),
    _Rule(
        r"PartitionNodeLimit",
        "it asks for more nodes than the partition gives one job ({asked})",
        "ask for fewer",
        _LESS,
    ),
    _Rule(r"BadConstraints|BadConstraint", "no node of the partition can give what it asks for ({asked})", "ask for less", _LESS),
    _Rule(r"Licenses", "a licence that it asks for is in use"),
    _Rule(r"MaxMemPerLimit", "it asks for more memory than the partition gives a core or a node ({asked})", "ask for less", _LESS),
    _Rule(
        r"AccountNotAllowed|InvalidAccount|QOSNotAllowed|InvalidQOS",
        "its account or QOS may not be used in this partition",
        "name another in the profile, and submit again",
        _AGAIN,
    ),
    _Rule(r"Prolog|Cleaning|Configuring", "its node is being made ready"),
    _Rule(r"DeadLine", "it could not end before its deadline", "ask for less time", _LESS),
)  # fmt: skip
_PARTITION_TIME = re.compile(r"PartitionTimeLimit|TimeLimit")
_LIMIT = re.compile(r"(Assoc(iation)?|QOS|Max)(?=[A-Z])\w*(Limit|GRES|Gres|Cpu|CPU|Mem|Node|Job|Threshold|Per[A-Z]|Minutes)\w*")
_WHAT = (
    ("GRES|Gres", "GPUs"),
    ("Cpu|CPU", "cores"),
    ("Mem", "memory"),
    ("Node", "nodes"),
    ("Submit", "jobs in the queue"),
    ("Wall|Time", "time"),
    ("Billing", "billing units"),
    ("License", "licences"),
    ("BB", "burst buffer"),
    ("Job", "jobs"),
)  # fmt: skip


def explain_reason(reason: str, asked: Resources, *, partition_limit_min: float | None = None) -> Told:
    """Say why a job waits, for Slurm's word and what it asks for; a word that is not known is told as it is."""
    if _PARTITION_TIME.fullmatch(reason):
        return _too_long(asked, partition_limit_min)
    for rule in _RULES:
        if re.fullmatch(rule.pattern, reason):
            return Told(sentence=rule.sentence.replace("{asked}", tell(asked)), advice=rule.advice, commands=rule.commands)
    return _limited(reason) if _LIMIT.fullmatch(reason) else Told(sentence=f"Slurm says: {reason}")


def needs_partition_limit(reason: str) -> bool:
    """Say whether the partition's time limit tells why."""
    return _PARTITION_TIME.fullmatch(reason) is not None


def tell(asked: Resources) -> str:
    """Return what a run asks for: "1 GPU, 2 cores, 32 GB for 4 h"."""
    devices = [f"{asked.gpus} GPU{'s' * (asked.gpus > 1)}"] if asked.gpus else []
    cores = f"{asked.cpus} core{'s' * (asked.cpus > 1)}"
    nodes = f" on each of {asked.nodes} nodes" if asked.nodes > 1 else ""
    return ", ".join([*devices, cores, f"{asked.mem_gb:g} GB"]) + f"{nodes} for {tell_time(asked.time_min)}"


def tell_time(minutes: float) -> str:
    """Return a limit of time in the unit in which it is round: 90 min, 24 h."""
    return f"{minutes / 60:g} h" if minutes >= 120 and minutes % 30 == 0 else f"{minutes:g} min"


def _too_long(asked: Resources, limit_min: float | None) -> Told:
    if limit_min is None or limit_min >= asked.time_min:
        return Told(
            sentence=f"it asks for more time than the partition allows ({tell_time(asked.time_min)})", advice="ask for less", commands=_LESS
        )
    return Told(
        sentence=f"it asks for {tell_time(asked.time_min)}; the partition's limit is {tell_time(limit_min)}",
        advice="ask for less; a run goes on from its checkpoint",
        commands=(_AGAIN[0], f"{_AGAIN[1]} --set resources.time_min={limit_min:g}"),
    )


def _limited(reason: str) -> Told:
    """Tell a limit of an account or a QOS: a budget that is spent, what one job asks for, or what all hold at once."""
    owner = "the QOS" if reason.startswith("QOS") else "your account"
    what = next((word for pattern, word in _WHAT if re.search(pattern, reason.removeprefix("QOS"))), "resources")
    if re.search(r"Minutes|Threshold", reason) and not re.search(r"RunMin|PerJob|PJ\b", reason):
        return Told(sentence=f"{owner} has used up its budget of compute time", advice="ask the administrators, or use another account")
    if re.search(r"Minutes", reason) and re.search(r"PerJob|PJ\b", reason):
        return Told(sentence=f"{what} x time is more than {owner} allows one job", advice="ask for less of either", commands=_LESS)
    if re.search(r"PerJob|PJ\b|PerNode|WallDuration|MaxWall|(QOS|Association)TimeLimit", reason):
        return Told(sentence=f"it asks for more {what} than {owner} allows one job", advice="ask for less", commands=_LESS)
    if "Min" in reason and "RunMin" not in reason:
        return Told(sentence=f"it asks for less {what} than {owner} wants of one job", advice="ask for more", commands=_LESS)
    if "PerUser" in reason:
        return Told(sentence=f"{owner} limits the {what} that one user holds at once, and you hold them all")
    return Told(sentence=f"{owner} limits the {what} that its jobs hold at once, and they hold them all")
