"""A campaign on the real cluster that nobody looks after: runs that go wrong by themselves, each in its way."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from orchestrator.store.states import Cause, State
from tests.slurm.cluster import Cluster
from tests.slurm.project import Project

ENTRY = Path(__file__).with_name("weekend_study.py")

EXPECTED: Mapping[str, tuple[State, frozenset[Cause]]] = {
    "none": (State.COMPLETED, frozenset()),
    "long": (State.COMPLETED, frozenset()),
    "host_oom": (State.COMPLETED, frozenset()),
    "gpu_oom": (State.COMPLETED, frozenset()),
    "diverged": (State.FAILED, frozenset({Cause.DIVERGED})),
    "bug": (State.FAILED, frozenset({Cause.ERROR})),
    "bad_input": (State.FAILED, frozenset({Cause.BAD_INPUT})),
    "silent": (State.FAILED, frozenset({Cause.SILENT_EXIT})),
    "killed": (State.FAILED, frozenset({Cause.UNKNOWN})),
    "crash": (State.FAILED, frozenset({Cause.ERROR, Cause.UNKNOWN})),
}
"""Kind of a run → how it ends, when the policy has done what it can, and why."""

GRID = """
entry: weekend_study:train
runtime: [micro_batch]
config: [{{micro_batch: 8, pause: {pause}}}]
zip: [{{kind: {kinds}, seed: {seeds}, steps: {steps}}}]
resources: {{gpus: 0, mem_gb: 0.15, time_min: {{by: kind, {minutes}}}, max_parallel: {at_once}}}
policy: {{gpu_oom: {{set: {{micro_batch: /2}}}}, breaker: {breaker}}}
metrics: {{objective: loss, mode: min}}
"""


class Mix(NamedTuple):
    """What a campaign is made of."""

    kinds: Mapping[str, int]
    """Kind of a run → how many."""
    at_once: int = 12
    steps: int = 8
    pause_s: float = 0.1
    long_steps: int = 900
    """Of a `long` run: more than a minute's time limit holds."""


def grid_text(mix: Mix) -> str:
    """Return the grid file: the kinds well mixed, so that no five failures follow each other without a success."""
    kinds = [kind for kind, count in mix.kinds.items() for _ in range(count)]
    random.Random(0).shuffle(kinds)
    return GRID.format(
        pause=mix.pause_s,
        kinds=kinds,
        seeds=list(range(len(kinds))),
        steps=[mix.long_steps if kind == "long" else mix.steps for kind in kinds],
        minutes=", ".join(f"{kind}: {1 if kind == 'long' else 10}" for kind in EXPECTED),
        at_once=mix.at_once,
        breaker=10,
    )


class Campaign(Project):
    """A project whose runs are of several kinds."""

    def __init__(self, folder: Path, cluster: Cluster, mix: Mix) -> None:
        super().__init__(folder, cluster)
        self.mix = mix
        self.write("weekend_study.py", ENTRY.read_text())
        self.grid(grid_text(mix))

    def kind_of(self, run: str) -> str:
        return str(self._config(run)["kind"])

    def _config(self, run: str) -> dict[str, object]:
        return dict(json.loads(self.paths.run(run).manifest.read_text())["config"])

    def is_well(self, run: str) -> bool:
        """Say whether a run is of the kind that goes well."""
        return self.kind_of(run) == "none"

    def wrong_ends(self, cancelled: set[str]) -> list[str]:
        """Return a sentence for each run that did not end as its kind must; a run that a person cancelled may be cancelled."""
        told = []
        for record in self.records().runs.values():
            kind = self.kind_of(record.id)
            state, causes = EXPECTED[kind]
            if record.id in cancelled and record.state is State.CANCELLED:
                continue
            if record.state is not state or (causes and record.cause not in causes):
                told.append(f"{record.id} ({kind}): {record.state.value} {record.cause and record.cause.value}: {record.reason}")
        return told
