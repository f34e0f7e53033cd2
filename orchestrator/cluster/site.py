"""What a Slurm cluster is made of, read from the text of scontrol, sinfo and sacctmgr; refuses what it cannot give."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

import msgspec

from orchestrator.cluster.resources import Resources
from orchestrator.cluster.scheduler import Limits
from orchestrator.store.errors import ProfileError, did_you_mean

SINFO_FORMAT = "%R|%c|%m|%G"
ASSOC_FIELDS = "Account,Partition,DefaultQOS,MaxSubmitJobs,GrpSubmitJobs"
QOS_FIELDS = "Name,MaxSubmitJobsPU,MaxSubmitJobsPA,GrpSubmitJobs"

ENFORCING = frozenset({"limits", "safe", "qos", "all"})
"""Values of AccountingStorageEnforce with which limits hold."""

_CONFIG_LINE = re.compile(r"^(\w+)[ \t]*=[ \t]*(.*?)[ \t]*$", re.MULTILINE)
_DURATION = re.compile(r"(?:(?P<days>\d+)-)?(?P<clock>\d+(?::\d+){0,2})\Z")


class Partition(msgspec.Struct, frozen=True, kw_only=True):
    """One partition, as `scontrol show partition` tells it."""

    name: str
    is_default: bool = False
    is_up: bool = True
    limit_min: float | None = None
    """Longest time of a job [minutes]; None: unlimited."""
    qos: str = ""
    preempt_mode: str = ""
    grace_s: int = 0
    """Time between the choice to preempt a job and its end [s]."""
    nodes: int | None = None
    """Most nodes that a job can have; None: not told."""


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """Nodes that are alike, in one partition."""

    partition: str
    cpus: int
    mem_mb: int
    gpus: int


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """What the cluster says of itself."""

    config: Mapping[str, str] = {}
    partitions: tuple[Partition, ...] = ()
    shapes: tuple[Shape, ...] = ()

    def partition(self, wanted: str) -> tuple[Partition, ...]:
        """Return the partitions of a comma list, or the default one where nothing is named."""
        if not wanted:
            return tuple(partition for partition in self.partitions if partition.is_default)
        return tuple(partition for partition in self.partitions if partition.name in wanted.split(","))

    def number(self, name: str) -> int | None:
        """Return the number that a setting begins with, such as 300 of "300 sec"; None where it has none."""
        first = self.config.get(name, "").split()[:1]
        return int(first[0]) if first and first[0].isdigit() else None

    def words(self, name: str) -> tuple[str, ...]:
        """Return the comma-separated words of a setting; (null) and the like are none."""
        value = self.config.get(name, "")
        return () if value.startswith("(null") else tuple(word.strip() for word in value.split(",") if word.strip())


def read_config(text: str) -> dict[str, str]:
    """Read `scontrol show config`, that of control groups included: name → value."""
    return dict(_CONFIG_LINE.findall(text))


def read_partitions(text: str) -> tuple[Partition, ...]:
    """Read `scontrol -o show partition`: one line a partition, blank-separated key=value."""
    lines = [line for line in text.splitlines() if line.startswith("PartitionName=")]
    return tuple(_partition(dict(word.split("=", 1) for word in line.split() if "=" in word)) for line in lines)


def _partition(values: dict[str, str]) -> Partition:
    return Partition(
        name=values["PartitionName"],
        is_default=values.get("Default") == "YES",
        is_up=values.get("State", "UP") == "UP",
        limit_min=read_minutes(values.get("MaxTime", "")),
        qos="" if values.get("QoS", "N/A") == "N/A" else values["QoS"],
        preempt_mode=values.get("PreemptMode", ""),
        grace_s=int(values["GraceTime"]) if values.get("GraceTime", "").isdigit() else 0,
        nodes=min((int(values[key]) for key in ("TotalNodes", "MaxNodes") if values.get(key, "").isdigit()), default=None),
    )


def read_shapes(text: str) -> tuple[Shape, ...]:
    """Read `sinfo -h -e` in SINFO_FORMAT. A `+` (nodes differ, at least this much) is passed over."""
    shapes = []
    for line in text.splitlines():
        partition, cpus, mem, gres = [*line.split("|"), "", "", ""][:4]
        if cpus.rstrip("+").isdigit() and mem.rstrip("+").isdigit():
            shapes.append(Shape(partition=partition, cpus=int(cpus.rstrip("+")), mem_mb=int(mem.rstrip("+")), gpus=count_gpus(gres)))
    return tuple(shapes)


def count_gpus(gres: str) -> int:
    """Sum the GPUs of `gpu:2`, `gpu:a100:4(S:0-1),gpu:v100:1`, `(null)`."""
    return sum(int(number) for number in re.findall(r"(?:^|,)gpu(?::[^:,()]+)?:(\d+)", gres))


def read_minutes(text: str) -> float | None:
    """Read Slurm's durations: 90, 30:00, 12:00:00, 7-00:00:00; None for UNLIMITED and the like."""
    match = _DURATION.match(text.strip())
    if match is None:
        return None
    parts = [int(part) for part in match["clock"].split(":")]
    if match["days"] is not None:  # days-hours:minutes:seconds
        hours, minutes, seconds = [*parts, 0, 0][:3]
    elif len(parts) == 3:
        hours, minutes, seconds = parts
    else:  # minutes:seconds
        hours, (minutes, seconds) = 0, [*parts, 0][:2]
    return int(match["days"] or 0) * 1440 + hours * 60 + minutes + seconds / 60


def read_limits(site: Site, *, associations: str, qos: str, wanted: Mapping[str, str], max_array: str = "") -> Limits:
    """Return what the cluster accepts of this user.

    associations, qos: output of `sacctmgr -nP show` in ASSOC_FIELDS and QOS_FIELDS, empty without accounting.
    wanted: sbatch's options; its partition, account and qos choose among the limits. max_array lowers MaxArraySize (tests).
    """
    partitions = site.partition(wanted.get("partition", ""))
    array = [int(site.config.get("MaxArraySize", "1001"))]
    array += [int(number) for number in re.findall(r"max_array_tasks=(\d+)", site.config.get("SchedulerParameters", ""))]
    array += [int(max_array)] if max_array.isdigit() and int(max_array) else []
    limits = [partition.limit_min for partition in partitions if partition.limit_min is not None]
    submit = _submit_limits(site, associations, qos, wanted)
    memory = [shape.mem_mb / 1024 for shape in site.shapes if shape.partition.rstrip("*") in {partition.name for partition in partitions}]
    return Limits(
        max_array_size=min(array),
        max_submit=min(submit, default=None),
        partition_limit_min=max(limits, default=None),
        node_mem_gb=max(memory, default=None),
        nodes=max((partition.nodes for partition in partitions if partition.nodes), default=None),
    )


def _submit_limits(site: Site, associations: str, qos: str, wanted: Mapping[str, str]) -> list[int]:
    """Every bound on the user's queued tasks that may apply: a bound too many costs waiting, one too few a refusal."""
    if not ENFORCING & set(re.split(r"[,\s]+", site.config.get("AccountingStorageEnforce", "limits"))):
        return []
    partitions = site.partition(wanted.get("partition", ""))
    numbers: list[str] = []
    names = {wanted["qos"]} if wanted.get("qos") else set()
    for line in associations.splitlines():
        account, partition, default_qos, *bounds = [*line.split("|"), "", "", ""]
        if wanted.get("account", account) != account or (partition and partition not in {known.name for known in partitions}):
            continue
        numbers += bounds
        names |= {default_qos} if not wanted.get("qos") else set()
    names = {name for name in names if name} or {"normal"}
    names |= {partition.qos for partition in partitions if partition.qos}
    for line in qos.splitlines():
        name, *bounds = line.split("|")
        numbers += bounds if name in names else []
    return [int(number) for number in numbers if number.isdigit()]


def refuse_impossible(site: Site, resources: Resources, *, wanted: Mapping[str, str], where: str) -> None:
    """Raise ProfileError for a partition that does not exist and for resources that no node of it has.

    wanted: sbatch's options. where: what named the partition, for the message.
    """
    asked = wanted.get("partition", "")
    names = {partition.name for partition in site.partitions}
    unknown = [name for name in asked.split(",") if name and name not in names]
    key = "sbatch.partition" if "partition" in dict(resources.sbatch) else ""
    if unknown and names:
        problem = f"{where}: partition is '{unknown[0]}'; the cluster has no such partition. {did_you_mean(unknown[0], names)}"
        raise ProfileError(problem, key=key)
    chosen = site.partition(asked)
    if asked and chosen and not any(partition.is_up for partition in chosen):
        raise ProfileError(f"{where}: partition '{asked}' is down. Choose another. Known: {', '.join(sorted(names))}.", key=key)
    shapes = [shape for shape in site.shapes if shape.partition in {partition.name for partition in chosen}]
    label = f"partition {asked or ','.join(partition.name for partition in chosen)}"
    if shapes:
        _refuse_too_much(resources, shapes, label)
    limits = [math.inf if partition.limit_min is None else partition.limit_min for partition in chosen]
    if limits and resources.time_min > max(limits):
        raise _too_much("time_min", resources.time_min, f"{label} ends at {max(limits):g}")
    nodes = [math.inf if partition.nodes is None else partition.nodes for partition in chosen]
    if nodes and resources.nodes > max(nodes):
        raise _too_much("nodes", resources.nodes, f"{label} gives a job at most {max(nodes)}")


def _too_much(key: str, asked: float, most: str) -> ProfileError:
    return ProfileError(f"resources.{key} is {asked:g}; {most}. Ask for at most that.", key=key)


def _refuse_too_much(resources: Resources, shapes: list[Shape], label: str) -> None:
    most_mb = max(shape.mem_mb for shape in shapes)
    most_cpus = max(shape.cpus for shape in shapes)
    most_gpus = max(shape.gpus for shape in shapes)
    if resources.mem_gb * 1024 > most_mb:
        most_gb = math.floor(most_mb / 1024 * 10) / 10
        raise _too_much("mem_gb", resources.mem_gb, f"no node of {label} has more than {most_gb:g}")
    if resources.gpus > most_gpus:
        raise _too_much("gpus", resources.gpus, f"no node of {label} has more than {most_gpus}")
    if resources.cpus > most_cpus:
        raise _too_much("cpus", resources.cpus, f"no node of {label} has more than {most_cpus}")
    if not any(_fits(resources, shape) for shape in shapes):
        raise ProfileError(
            f"resources: no single node of {label} has {resources.gpus} GPUs, {resources.cpus} CPUs and {resources.mem_gb:g} GB together."
            " See 'sinfo -o \"%P %c %m %G\"' and lower one of them.",
            key="mem_gb",
        )


def _fits(resources: Resources, shape: Shape) -> bool:
    return resources.mem_gb * 1024 <= shape.mem_mb and resources.gpus <= shape.gpus and resources.cpus <= shape.cpus
