"""mrsweep doctor: what works here, and what will not."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

import click
import msgspec

from orchestrator.cli.options import examples, json_option, profile_option, runs_option
from orchestrator.cli.show import document, say, table
from orchestrator.cluster.scheduler import Fact, Verdict
from orchestrator.store.errors import ClusterError, StoreError
from orchestrator.store.files import create_exclusive, make_dir, write_atomic
from orchestrator.store.layout import GridPaths
from orchestrator.watchdog.look import open_site

NETWORK = ("nfs", "nfs4", "lustre", "gpfs", "beegfs", "ceph", "cifs", "fuse.sshfs")

_EXAMPLES = examples(
    """
mrsweep doctor
mrsweep doctor --profile slurm-gpu --runs /scratch/me/runs
"""
)


@click.command("doctor", epilog=_EXAMPLES)
@runs_option
@profile_option
@json_option
def command(runs: Path, *, profile: str | None, as_json: bool) -> None:
    """Check scheduler, limits, accounting and the filesystem of the runs folder. Exits with 1 if something will not work."""
    facts = [*_machine(), *_filesystem(runs), *_cluster(runs, profile)]
    if as_json:
        document("doctor", facts=[msgspec.to_builtins(fact) for fact in facts])
    else:
        table(["", "what", "found"], [(fact.verdict.value, fact.name, fact.value) for fact in facts], shrink={"found": 20})
        for fact in facts:
            if fact.advice:
                say(f"{fact.name}: {fact.advice}")
    sys.exit(1 if any(fact.verdict is Verdict.BAD for fact in facts) else 0)


def _machine() -> list[Fact]:
    python = ".".join(map(str, sys.version_info[:3]))
    return [Fact(name="python", value=f"{python}, {sys.executable}"), Fact(name="cores", value=str(os.cpu_count()))]


def _cluster(runs: Path, profile_name: str | None) -> list[Fact]:
    site = open_site(GridPaths(runs), profile_name)
    facts = [Fact(name="profile", value=f"{site.profile.name} ({site.profile.path})")]
    try:
        return [*facts, *site.scheduler.facts()]
    except ClusterError as error:
        advice = f"{error} Is SLURM_CONF set, and the controller up?"
        return [*facts, Fact(name="Slurm", value="does not answer", verdict=Verdict.BAD, advice=advice)]


def _filesystem(runs: Path) -> list[Fact]:
    """Try on the runs folder what the store relies on."""
    try:
        make_dir(runs)
    except StoreError as error:
        return [Fact(name="runs folder", value=str(runs), verdict=Verdict.BAD, advice=str(error))]
    kind = _mount_kind(runs)
    facts = [Fact(name="runs folder", value=f"{runs.absolute()} on {kind}")]
    if kind in NETWORK:
        advice = "New files may show up late between nodes; a worker waits visible_s of the profile for them."
        facts.append(Fact(name="network filesystem", value=kind, verdict=Verdict.NOTE, advice=advice))
    return [*facts, _try_writing(runs), _free_space(runs)]


def _try_writing(runs: Path) -> Fact:
    try:
        with tempfile.TemporaryDirectory(dir=runs, prefix=".doctor-") as folder:
            write_atomic(Path(folder, "atomic"), b"1")
            once, twice = (create_exclusive(Path(folder, "exclusive"), b"1") for _ in range(2))
    except OSError as error:
        advice = "Choose another folder with --runs DIR."
        return Fact(name="atomic files", value=str(error.strerror), verdict=Verdict.BAD, advice=advice)
    if once and not twice:
        return Fact(name="atomic files", value="rename and exclusive creation work")
    advice = "Two processes could write at once here; use another filesystem."
    return Fact(name="atomic files", value="exclusive creation is not exclusive", verdict=Verdict.BAD, advice=advice)


def _free_space(runs: Path) -> Fact:
    usage = shutil.disk_usage(runs)
    low = usage.free < 0.05 * usage.total
    advice = "Checkpoints will fill it; runs then fail as disk_full." if low else ""
    return Fact(name="free space", value=f"{usage.free / 1e9:,.0f} GB", verdict=Verdict.NOTE if low else Verdict.OK, advice=advice)


def _mount_kind(path: Path) -> str:
    """Return the filesystem type of a path, from the longest mount point above it."""
    target = str(path.absolute())
    best, kind = "", "unknown"
    for line in Path("/proc/mounts").read_text().splitlines():
        point, found = line.split()[1:3]
        if (target == point or target.startswith(point.rstrip("/") + "/")) and len(point) >= len(best):
            best, kind = point, found
    return kind
