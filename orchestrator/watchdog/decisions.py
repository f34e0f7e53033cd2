"""All decisions of one round: what is taken up again, what is given up, what goes to the trash, what a silent run gets (pure)."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from orchestrator.cluster.profile import Profile
from orchestrator.cluster.resources import Resources
from orchestrator.cluster.scheduler import Limits, Snapshot
from orchestrator.grid.manifest import Manifest
from orchestrator.launch.launch import pack_of
from orchestrator.launch.opened import OpenGrid
from orchestrator.launch.plan import last_resources
from orchestrator.store.records import Records
from orchestrator.store.states import BAD_ENDS, State
from orchestrator.watchdog.answers import Action, Policy, read_answers
from orchestrator.watchdog.look import Site
from orchestrator.watchdog.policy import BadEnd, Bounds, Decision, GivenUp, decide, is_listed, peaks

GIVEN_UP = "given up: "
"""Begins the reason of a run whose budget is spent."""


class Decisions(msgspec.Struct, frozen=True, kw_only=True):
    """What follows on the bad ends of a grid, by run."""

    again: Mapping[str, Decision] = {}
    """Requeues that are due."""
    later: Mapping[str, Decision] = {}
    """Requeues that wait for their time."""
    prune: Mapping[str, Decision] = {}
    given_up: Mapping[str, GivenUp] = {}
    stay_failed: frozenset[str] = frozenset()
    """Failed runs that nothing follows on."""

    @property
    def is_work(self) -> bool:
        """Say whether something is to be done besides submitting."""
        return bool(self.prune or self.given_up)


def decide_all(manifests: Mapping[str, Manifest], records: Records, snapshot: Snapshot, policy: Policy, bounds: Bounds) -> Decisions:
    """Decide about every run that ended badly; runs that the grid file no longer asks for are left alone."""
    ended = [run_id for run_id in manifests if records.get(run_id).state in BAD_ENDS and run_id not in records.orphans]
    known = peaks(manifests, records) if ended else dict[Resources, float]()
    found = {run_id: decide(_case(manifests[run_id], records, known), policy, snapshot, bounds) for run_id in ended}
    decided = {run_id: answer for run_id, answer in found.items() if isinstance(answer, Decision)}
    requeues = {run_id: decision for run_id, decision in decided.items() if decision.action is not Action.PRUNE}
    given_up = {run_id: answer for run_id, answer in found.items() if isinstance(answer, GivenUp)}
    interrupted = {run_id for run_id in ended if records.get(run_id).state is State.INTERRUPTED}
    return Decisions(
        again={run_id: decision for run_id, decision in requeues.items() if decision.due <= snapshot.taken_at},
        later={run_id: decision for run_id, decision in requeues.items() if decision.due > snapshot.taken_at},
        prune={run_id: decision for run_id, decision in decided.items() if decision.action is Action.PRUNE},
        given_up={run_id: answer for run_id, answer in given_up.items() if not records.get(run_id).reason.startswith(GIVEN_UP)},
        stay_failed=frozenset(run_id for run_id in ended if run_id not in interrupted and run_id not in decided),
    )


def _case(manifest: Manifest, records: Records, known: Mapping[Resources, float]) -> BadEnd:
    asked, peak_gb = last_resources(manifest, records), known.get(manifest.resources, 0.0)
    record = records.get(manifest.id)
    return BadEnd(record=record, manifest=manifest, asked=asked, peak_gb=peak_gb, listed=is_listed(record, records))


def decisions_of(grid: OpenGrid, site: Site, records: Records, snapshot: Snapshot, limits: Limits | None) -> Decisions:
    """Return what follows on the bad ends of a grid, at a place with these limits; None: they are not known, and bound nothing."""
    pack = pack_of(grid.spec, site.profile)
    bounds = _bounds(limits, at_a_time=max(1, min(pack.per_gpu, pack.per_task)), profile=site.profile)
    return decide_all(grid.launched(), records, snapshot, read_answers(grid.spec.policy), bounds)


def has_bad_ends(records: Records) -> bool:
    """Say whether there is anything to decide about."""
    return any(record.state in BAD_ENDS for record in records.runs.values())


def _bounds(limits: Limits | None, *, at_a_time: int, profile: Profile) -> Bounds:
    """Return what a run gets at most, where `at_a_time` runs share a task."""
    site = Bounds(larger_gpu=bool(profile.larger_gpu), backoff_s=profile.backoff_s)
    if limits is None:
        return site
    mem_gb = float("inf") if limits.node_mem_gb is None else limits.node_mem_gb / at_a_time
    time_min = float("inf") if limits.partition_limit_min is None else limits.partition_limit_min
    return msgspec.structs.replace(site, mem_gb=mem_gb, time_min=time_min)
