"""What doctor says of a cluster: facts with a verdict and an advice each; pure."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.cluster.scheduler import Fact, Limits, Verdict
from orchestrator.cluster.site import Shape, Site


def site_facts(site: Site, limits: Limits, *, accounting: str) -> tuple[Fact, ...]:
    """Judge a cluster's settings. accounting: empty when sacct answers, else its complaint."""
    return (
        *_version(site),
        *_accounting(site, accounting),
        *_memory(site),
        *_requeue(site),
        *_times(site),
        *_limits(limits),
        *_partitions(site),
    )


def _version(site: Site) -> Iterator[Fact]:
    version = site.config.get("SLURM_VERSION", "unknown")
    old = tuple(int(part) for part in version.split(".")[:2] if part.isdigit()) < (20, 11)
    advice = "Versions before 20.11 are not tried." if old else ""
    yield Fact(name="Slurm", value=version, verdict=Verdict.NOTE if old else Verdict.OK, advice=advice)


def _accounting(site: Site, complaint: str) -> Iterator[Fact]:
    kind = site.config.get("AccountingStorageType", "unknown").removeprefix("accounting_storage/")
    if not complaint:
        yield Fact(name="accounting", value=f"{kind}, answers")
        return
    advice = "States come from the queue and from the runs' own files; exit codes of tasks older than MinJobAge are not known."
    yield Fact(name="accounting", value=f"{kind}: {complaint}", verdict=Verdict.NOTE, advice=advice)


def _memory(site: Site) -> Iterator[Fact]:
    limited = site.config.get("ConstrainRAMSpace", "").lower() == "yes" and "cgroup" in site.config.get("TaskPlugin", "")
    advice = "" if limited else "A run that takes too much memory is not reported as OUT_OF_MEMORY; its measured peak decides."
    value = f"TaskPlugin={site.config.get('TaskPlugin', '?')} ConstrainRAMSpace={site.config.get('ConstrainRAMSpace', 'not shown')}"
    yield Fact(name="memory limits", value=value, verdict=Verdict.OK if limited else Verdict.NOTE, advice=advice)


def _requeue(site: Site) -> Iterator[Fact]:
    on = site.config.get("JobRequeue", "1") == "1"
    advice = "" if on else "Preempted and lost tasks end instead of waiting again; watch submits them anew. #SBATCH --requeue changes that."
    yield Fact(name="JobRequeue", value="1" if on else "0", verdict=Verdict.OK if on else Verdict.NOTE, advice=advice)
    mode = site.config.get("PreemptMode", "OFF")
    yield Fact(name="PreemptMode", value=mode, verdict=Verdict.NOTE if "SUSPEND" in mode else Verdict.OK, advice=_preempt_advice(mode))


def _preempt_advice(mode: str) -> str:
    return "A suspended run beats no heart, and keeps its node: it is not taken for stalled." if "SUSPEND" in mode else ""


def _times(site: Site) -> Iterator[Fact]:
    for name, least, advice in (
        ("MinJobAge", 60.0, "The queue forgets ended tasks at once; without accounting their end is seen in the runs' files alone."),
        ("KillWait", 10.0, "Little time between SIGTERM and SIGKILL: only the warning before the time limit saves a checkpoint."),
    ):
        value = site.config.get(name, "unknown")
        seconds = value.split()[0] if value else ""
        short = seconds.isdigit() and float(seconds) < least
        yield Fact(name=name, value=value, verdict=Verdict.NOTE if short else Verdict.OK, advice=advice if short else "")


def _limits(limits: Limits) -> Iterator[Fact]:
    off = limits.max_array_size < 1
    advice = "Job arrays are switched off here (MaxArraySize=0): ask the site for a value above 1." if off else ""
    yield Fact(name="tasks of an array", value=str(limits.max_array_size), verdict=Verdict.BAD if off else Verdict.OK, advice=advice)
    queued = "no limit known" if limits.max_submit is None else str(limits.max_submit)
    yield Fact(name="tasks in the queue", value=queued)
    longest = "no limit" if limits.partition_limit_min is None else f"{limits.partition_limit_min:g} min"
    yield Fact(name="longest task", value=longest)


def _partitions(site: Site) -> Iterator[Fact]:
    if not site.partitions:
        yield Fact(name="partitions", value="none", verdict=Verdict.BAD, advice="scontrol shows no partition to this user: ask the site.")
    for partition in site.partitions:
        shapes = [shape for shape in site.shapes if shape.partition == partition.name]
        value = (_largest(shapes) if shapes else "no nodes") + (", default" if partition.is_default else "")
        down = not partition.is_up or not shapes
        advice = "No task starts here. Name another with #SBATCH --partition=…" if down else ""
        yield Fact(name=f"partition {partition.name}", value=value, verdict=Verdict.NOTE if down else Verdict.OK, advice=advice)


def _largest(shapes: list[Shape]) -> str:
    cpus, gpus = max(shape.cpus for shape in shapes), max(shape.gpus for shape in shapes)
    return f"up to {cpus} CPUs, {max(shape.mem_mb for shape in shapes) / 1024:.1f} GB, {gpus} GPUs a node"
