"""The crash campaign: every operation of every command is made to fail, torn, killed or frozen; then recovery, then the promises."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from orchestrator.grid.manifest import read_manifests
from orchestrator.store.ledger import read_records
from tests.faults.acts import Fault, Mode, Point
from tests.faults.promises import count_doubled, count_proven, read_evidence
from tests.faults.scenarios import SCENARIOS, Scenario
from tests.faults.world import World

TRIES = 4
"""How often the command is given again until it goes through."""


class Case(NamedTuple):
    """One fault of the campaign."""

    scenario: Scenario
    point: Point
    mode: Mode

    def __str__(self) -> str:
        return f"{self.scenario.name}, point {self.point.number} ({self.point.operation} {self.point.place}) {self.mode.value}"


class Outcome(NamedTuple):
    """What became of one case."""

    case: Case
    struck: bool
    """The fault came to pass."""
    broken: tuple[str, ...]
    lost: int
    doubled: int
    proven: int


class Campaign(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of a campaign, recomputed from start.json, end.json and result.json."""

    points: int
    """Distinct operations at which something went wrong."""
    faults: int
    """Distinct (command, operation, place, mode)."""
    kills: int
    """Faults after which the process was dead."""
    verbs: dict[str, int]
    """Command → faults."""
    modes: dict[str, int]
    """Mode → faults."""
    runs: int
    """Runs that left a proof."""
    lost: int
    doubled: int
    broken: tuple[str, ...]

    @property
    def told(self) -> str:
        verbs = ", ".join(f"{count} of {verb}" for verb, count in self.verbs.items())
        modes = "\n".join(f"  {count:5d}  {mode}" for mode, count in self.modes.items())
        figures = f"{self.faults} faults at {self.points} operations ({verbs}), {self.kills} of them kills, {self.runs:,} runs completed"
        return f"{figures}: {self.lost} lost, {self.doubled} doubled, {len(self.broken)} promises broken\n{modes}"


KILLS = frozenset({Mode.DIE, Mode.DIE_AFTER, Mode.TORN, Mode.HOLLOW, Mode.KILL, Mode.KILL_AFTER})


class Stage:
    """One scenario, made ready once and begun again for each fault."""

    def __init__(self, scenario: Scenario, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.scenario = scenario
        self.world = World(folder / "a project", patch, more=scenario.more)
        scenario.prepare(self.world)
        self._kept = self.world.keep()
        self.points = self.world.run(*scenario.argv).act.points

    def cases(self) -> Iterator[Case]:
        return (Case(self.scenario, point, mode) for point in self.points for mode in point.modes)

    def real_kills(self) -> Iterator[Case]:
        for point in self.points:
            yield Case(self.scenario, point, Mode.KILL)
            if Mode.DIE_AFTER in point.modes:
                yield Case(self.scenario, point, Mode.KILL_AFTER)

    def play(self, case: Case) -> Outcome:
        """Let the command fail, recover by the same command and by watching, and check everything."""
        world, fault = self.world, Fault(case.point.number, case.mode)
        world.bring_back(self._kept)
        if case.mode in (Mode.KILL, Mode.KILL_AFTER):
            struck = world.run_in_child(*self.scenario.argv, fault=fault)
        else:
            struck = world.run(*self.scenario.argv, fault=fault).act.struck
        found = self._recover()
        evidence = read_evidence(world.paths)
        wrong = self._wrong_ends()
        broken = tuple(f"{case}: {sentence}" for sentence in (*found, *wrong))
        return Outcome(case, struck, broken, len(wrong), count_doubled(evidence), count_proven(evidence))

    def _recover(self) -> list[str]:
        world = self.world
        found = world.check() if world.paths.applied_versions() else []
        world.cluster.controller_up = True
        for _ in range(TRIES):
            again = world.run(*self.scenario.argv)
            if not again.error:
                break
            world.pass_time(5.0)
        else:
            found.append(f"the command does not go through: {again.error}")
        return found or world.settle()

    def _wrong_ends(self) -> list[str]:
        """Return the runs that did not end as they should."""
        manifests, records = read_manifests(self.world.paths.manifest), read_records(self.world.paths)
        seeds = {manifest.config["seed"]: records.get(run_id).state for run_id, manifest in manifests.items()}
        return [
            f"the run of seed {seed} is {seeds[seed].value if seed in seeds else 'gone'}"
            for seed, states in self.scenario.ends.items()
            if seed not in seeds or seeds[seed] not in states
        ]


def sample(cases: Iterable[Case], every: int, first: int = 0) -> list[Case]:
    """Return every n-th case."""
    return list(itertools.islice(cases, first, None, every))


def play(folder: Path, scenarios: Iterable[Scenario] = SCENARIOS, choose: Callable[[Stage], Iterable[Case]] = Stage.cases) -> list[Outcome]:
    """Play the chosen cases of each scenario."""
    outcomes = []
    for number, scenario in enumerate(scenarios):
        with pytest.MonkeyPatch.context() as patch:
            stage = Stage(scenario, folder / str(number), patch)
            outcomes += [stage.play(case) for case in choose(stage)]
    return outcomes


def count(outcomes: Iterable[Outcome]) -> Campaign:
    """Sum up what a campaign brought; a fault that did not come to pass is not counted."""
    struck = [outcome for outcome in outcomes if outcome.struck]
    faults = {(one.case.scenario.name, one.case.point.number, one.case.mode): one.case for one in struck}
    return Campaign(
        points=len({(name, number) for name, number, _ in faults}),
        faults=len(faults),
        kills=sum(mode in KILLS for _, _, mode in faults),
        verbs=dict(Counter(case.scenario.verb for case in faults.values())),
        modes=dict(Counter(mode.value for _, _, mode in faults).most_common()),
        runs=sum(one.proven for one in struck),
        lost=sum(one.lost for one in struck),
        doubled=sum(one.doubled for one in struck),
        broken=tuple(itertools.chain.from_iterable(one.broken for one in struck)),
    )
