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


def test_pruned_run_is_not_computed_by_an_array_that_nobody_had_taken() -> None:
    machine = Machine()
    machine.begin(more=(), small=False, asked=[1])
    machine.change_what_is_told(lag=0.0, cut=False, queue=False, accounting=True)
    machine.launch([3])  # its array is written down, and Slurm does not answer
    machine.cancel(3)
    machine.change_what_is_told(lag=20.0, cut=False, queue=True, accounting=False)
    machine.ask_for("prune")
    machine.watch("login1")
    machine.pass_time(1)
    machine.promises_hold()
    machine.teardown()
