"""What doctor says of a cluster: facts with a verdict and an advice each; pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from orchestrator.cluster.facts_of_ends import end_facts
from orchestrator.cluster.profile import Profile
from orchestrator.cluster.scheduler import Fact, Limits, Verdict
from orchestrator.cluster.site import ENFORCING, Shape, Site

_SLOW_S = 5.0
_OFTEN_S = 15.0
_FEW_JOBS = 10_000


class Accounting(msgspec.Struct, frozen=True, kw_only=True):
    """How sacct and sacctmgr answered."""

    complaint: str = ""
    """Empty when sacct answered."""
    took_s: float = 0.0
    associations: str | None = None
    """The user's associations in ASSOC_FIELDS; None: sacctmgr did not answer."""


def site_facts(site: Site, limits: Limits, profile: Profile, accounting: Accounting) -> tuple[Fact, ...]:
    """Judge a cluster's settings for what `profile` asks of it."""
    return (
        *_version(site),
        *_accounting(site, accounting),
        *_asking(site, profile),
        *_limits(site, limits),
        *_submitting(site, profile),
        *_memory(site),
        *end_facts(site, profile, accounting=not accounting.complaint),
        *_partitions(site),
    )


def _version(site: Site) -> Iterator[Fact]:
    version = site.config.get("SLURM_VERSION", "unknown")
    old = tuple(int(part) for part in version.split(".")[:2] if part.isdigit()) < (20, 11)
    advice = "Versions before 20.11 are not tried." if old else ""
    yield Fact(name="Slurm", value=version, verdict=Verdict.NOTE if old else Verdict.OK, advice=advice)


def _accounting(site: Site, accounting: Accounting) -> Iterator[Fact]:
    kind = site.config.get("AccountingStorageType", "unknown").removeprefix("accounting_storage/")
    if accounting.complaint:
        advice = "States come from the queue and from the runs' own files; how tasks ended that are older than MinJobAge is not known."
        yield Fact(name="accounting", value=f"{kind}: {accounting.complaint}", verdict=Verdict.NOTE, advice=advice)
    else:
        yield Fact(name="accounting", value=f"{kind}, answers")
        slow = accounting.took_s > _SLOW_S
        advice = "Ask less often. Write into the profile: #MRSWEEP poll_s=120" if slow else ""
        yield Fact(name="sacct takes", value=f"{accounting.took_s:.1f} s", verdict=Verdict.NOTE if slow else Verdict.OK, advice=advice)
    if {"associations", *ENFORCING} & set(site.words("AccountingStorageEnforce")) and accounting.associations is not None:
        known = [line.split("|")[0] for line in accounting.associations.splitlines() if line.strip()]
        advice = "" if known else "sbatch will refuse every job: ask the site to add you to an account."
        value = ", ".join(dict.fromkeys(known)) or "none, and limits are enforced"
        yield Fact(name="your accounts", value=value, verdict=Verdict.OK if known else Verdict.BAD, advice=advice)
    comment = "kept" if "job_comment" in site.words("AccountingStoreFlags") else "not kept"
    yield Fact(name="job comments", value=f"{comment}; not needed, tasks are known by the job's name")


def _asking(site: Site, profile: Profile) -> Iterator[Fact]:
    limited = any("rl_enable" in word for word in site.words("SlurmctldParameters"))
    value = "on: who asks too often is made to wait" if limited else "off"
    yield Fact(name="rate limit (rl_enable)", value=value)
    often = profile.poll_s < _OFTEN_S
    advice = "On a cluster that others use ask less often. Write into the profile: #MRSWEEP poll_s=60" if often else ""
    yield Fact(name="a look every", value=f"{profile.poll_s:g} s", verdict=Verdict.NOTE if often else Verdict.OK, advice=advice)


def _limits(site: Site, limits: Limits) -> Iterator[Fact]:
    off = limits.max_array_size <= 1
    advice = "Job arrays are switched off here (MaxArraySize): ask the site for a value above 1." if off else ""
    yield Fact(name="tasks of an array", value=str(limits.max_array_size), verdict=Verdict.BAD if off else Verdict.OK, advice=advice)
    queued = "no limit known" if limits.max_submit is None else str(limits.max_submit)
    none = limits.max_submit == 0
    advice = "You may submit nothing (MaxSubmitJobs): ask the site, or name another account or qos." if none else ""
    yield Fact(name="tasks in the queue", value=queued, verdict=Verdict.BAD if none else Verdict.OK, advice=advice)
    jobs = site.number("MaxJobCount")
    if jobs is not None:
        few = jobs < _FEW_JOBS
        advice = "All users share them, and each task counts: launch with a small max_parallel, and let watch fill up." if few else ""
        yield Fact(name="jobs of all users", value=f"at most {jobs:,}", verdict=Verdict.NOTE if few else Verdict.OK, advice=advice)
    longest = "no limit" if limits.partition_limit_min is None else f"{limits.partition_limit_min:g} min"
    yield Fact(name="longest task", value=longest)


def _submitting(site: Site, profile: Profile) -> Iterator[Fact]:
    if plugins := site.words("JobSubmitPlugins"):
        advice = "They may change or refuse what is asked. Compare 'mrsweep launch GRID --dry-run' with what --probe gets."
        yield Fact(name="job_submit plugins", value=", ".join(plugins), verdict=Verdict.NOTE, advice=advice)
    gpus = any(shape.gpus for shape in site.shapes)
    if profile.gpu != "none" and site.shapes and not gpus:
        advice = "Grids that ask for GPUs are refused. Take --profile slurm-cpu, or write into the profile: #MRSWEEP gpu=none"
        yield Fact(name="GPUs", value="no node has one", verdict=Verdict.NOTE, advice=advice)
    kills = "kill_invalid_depend" in site.words("SchedulerParameters") + site.words("DependencyParameters")
    yield Fact(name="kill_invalid_depend", value=f"{'on' if kills else 'off'}; not needed, each array asks for it")


def _memory(site: Site) -> Iterator[Fact]:
    limited = site.config.get("ConstrainRAMSpace", "").lower() == "yes" and "cgroup" in site.config.get("TaskPlugin", "")
    advice = "" if limited else "A run that takes too much memory is not reported as OUT_OF_MEMORY; its measured peak decides."
    version = site.config.get("CgroupPlugin", "")
    kind = f" {version}" if version.startswith("cgroup/") else ""
    value = f"TaskPlugin={site.config.get('TaskPlugin', '?')} ConstrainRAMSpace={site.config.get('ConstrainRAMSpace', 'not shown')}{kind}"
    yield Fact(name="memory limits", value=value, verdict=Verdict.OK if limited else Verdict.NOTE, advice=advice)
    select = site.config.get("SelectTypeParameters", "")
    if select and not re.search("memory", select, re.IGNORECASE):
        advice = "Slurm puts jobs on a node whose memory is taken. Ask for whole nodes in the profile: #SBATCH --exclusive"
        yield Fact(name="memory is shared out", value=f"no ({select})", verdict=Verdict.NOTE, advice=advice)


def _partitions(site: Site) -> Iterator[Fact]:
    if not site.partitions:
        yield Fact(name="partitions", value="none", verdict=Verdict.BAD, advice="scontrol shows no partition to this user: ask the site.")
    for partition in site.partitions:
        shapes = [shape for shape in site.shapes if shape.partition == partition.name]
        longest = "" if partition.limit_min is None else f", at most {partition.limit_min:g} min"
        value = (_largest(shapes) if shapes else "no nodes") + longest + (", default" if partition.is_default else "")
        down = not partition.is_up or not shapes
        advice = "No task starts here. Name another with #SBATCH --partition=…" if down else ""
        yield Fact(name=f"partition {partition.name}", value=value, verdict=Verdict.NOTE if down else Verdict.OK, advice=advice)


def _largest(shapes: list[Shape]) -> str:
    cpus, gpus = max(shape.cpus for shape in shapes), max(shape.gpus for shape in shapes)
    return f"up to {cpus} CPUs, {max(shape.mem_mb for shape in shapes) / 1024:.1f} GB, {gpus} GPUs a node"
