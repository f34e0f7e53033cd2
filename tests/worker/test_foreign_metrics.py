"""Commands that tell what they measured as foreign trainers do: in TensorBoard files, or in a final JSON."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.grid.objective import Objective
from orchestrator.store.states import Cause, State

WRITER = """
import os, sys
from torch.utils.tensorboard import SummaryWriter

with SummaryWriter(os.environ["MRSWEEP_RUN_DIR"] + "/logs/version_0") as writer:
    for step, value in enumerate(map(float, sys.argv[1:])):
        writer.add_scalar("val/ssim", value, 10 * step)
"""


def test_the_objective_of_a_foreign_trainer_is_read_from_its_event_files(farm: Any) -> None:
    farm.write("train.py", WRITER)
    command = ("python", "train.py", "0.25", "nan", "0.75", "0.5")
    ended = farm.compute("", command=command, submit={"objective": Objective(name="val/ssim")})
    assert (ended.state, ended.best, ended.best_step, ended.last) == (State.COMPLETED, 0.75, 20, 0.5), ended.message


def test_event_files_without_a_finite_objective_prove_nothing(farm: Any) -> None:
    farm.write("train.py", WRITER)
    ended = farm.compute("", command=("python", "train.py", "nan", "inf"), submit={"objective": Objective(name="val/ssim")})
    assert (ended.state, ended.cause) == (State.FAILED, Cause.SILENT_EXIT)


@pytest.mark.parametrize(
    ("content", "state", "metrics", "best"),
    [
        ('{"test": {"ssim": 0.9}, "q": 0.5, "note": "ok"}', State.COMPLETED, {"test/ssim": 0.9, "q": 0.5, "note": "ok"}, 0.5),
        ('{"q": NaN}', State.FAILED, {}, None),
        ('{"other": 1}', State.FAILED, {}, None),
        ('{"q": 1', State.FAILED, {}, None),
    ],
)
def test_a_final_json_fills_the_result(farm: Any, content: str, state: State, metrics: dict[str, Any], best: float | None) -> None:
    farm.write("metrics.json", content)
    farm.write("train.sh", 'cp metrics.json "$MRSWEEP_RUN_DIR"')
    ended = farm.compute("", command=("sh", "train.sh"), submit={"objective": Objective(name="q")})
    assert (ended.state, ended.metrics, ended.best, ended.last) == (state, metrics, best, best), ended.message
    assert ("is not one JSON mapping of metrics; it is left out" in farm.log()) == (not content.endswith("}"))


def test_what_was_reported_step_by_step_counts_before_the_final_json(farm: Any) -> None:
    script = """
    echo '{"step": 3, "q": 0.25}' > "$MRSWEEP_RUN_DIR/metrics.jsonl"
    echo 'damaged' >> "$MRSWEEP_RUN_DIR/metrics.jsonl"
    echo '{"step": 4, "q": 0.125}' >> "$MRSWEEP_RUN_DIR/metrics.jsonl"
    echo '{"q": 9}' > "$MRSWEEP_RUN_DIR/metrics.json"
    """
    farm.write("train.sh", script)
    ended = farm.compute("", command=("sh", "train.sh"), submit={"objective": Objective(name="q")})
    assert (ended.state, ended.best, ended.best_step, ended.last, ended.metrics) == (State.COMPLETED, 0.25, 3, 0.125, {"q": 9})
