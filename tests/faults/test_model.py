"""The promises under a model of Slurm: commands, people, cluster and faults in any order that Hypothesis thinks of."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.faults.machine import Machine

QUICK = settings(max_examples=12, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck))
LONG = settings(QUICK, max_examples=150, stateful_step_count=30)


def test_promises_hold_in_short_histories() -> None:
    run_state_machine_as_test(Machine, settings=QUICK)


@pytest.mark.slow
def test_promises_hold_over_thousands_of_steps() -> None:
    before = Machine.steps
    run_state_machine_as_test(Machine, settings=LONG)
    assert Machine.steps - before > 2000
