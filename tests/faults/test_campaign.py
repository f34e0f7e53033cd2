"""Every operation of launch, watch, requeue, cancel, prune and restore may fail, be torn, or be the last: no promise is broken."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.acts import Mode
from tests.faults.campaign import Campaign, Stage, count, play, sample
from tests.faults.scenarios import SCENARIOS

EVERY = 55
"""Of the whole campaign the quick tests play one case in so many."""
PARTS = {name: tuple(scenario for scenario in SCENARIOS if scenario.name.startswith(name)) for name in ("launch", "watch", "requeue")}
PARTS["cancel, prune and restore"] = tuple(scenario for scenario in SCENARIOS if scenario.verb in ("cancel", "prune", "restore"))


def assert_held(campaign: Campaign) -> None:
    assert campaign.broken == ()
    assert (campaign.lost, campaign.doubled) == (0, 0)


def test_a_sample_of_all_faults_breaks_no_promise(tmp_path: Path) -> None:
    campaign = count(play(tmp_path, choose=lambda stage: sample(stage.cases(), EVERY, first=len(stage.points) % 7)))
    assert_held(campaign)
    assert campaign.faults >= 30
    assert set(campaign.verbs) == {"launch", "watch", "requeue", "cancel", "prune", "restore"}


@pytest.mark.slow
@pytest.mark.parametrize("part", PARTS)
def test_no_fault_breaks_a_promise(tmp_path: Path, part: str) -> None:
    assert_held(count(play(tmp_path, PARTS[part])))


@pytest.mark.slow
def test_no_real_kill_breaks_a_promise(tmp_path: Path) -> None:
    campaign = count(play(tmp_path, choose=lambda stage: sample(stage.real_kills(), 5)))
    assert_held(campaign)
    assert campaign.kills >= 60


def test_campaign_strikes_at_hundreds_of_places(tmp_path: Path) -> None:
    cases = []
    for number, scenario in enumerate(SCENARIOS):
        with pytest.MonkeyPatch.context() as patch:
            cases += Stage(scenario, tmp_path / str(number), patch).cases()
    kills = [case for case in cases if case.mode in (Mode.DIE, Mode.DIE_AFTER, Mode.TORN, Mode.HOLLOW)]
    assert len({(case.scenario.name, case.point.number, case.mode) for case in kills}) >= 500
    assert {mode for case in cases for mode in [case.mode]} == set(Mode) - {Mode.KILL, Mode.KILL_AFTER}
