"""An example entry: fit y = 3x + 1 by gradient descent, report as it goes, and resume from a checkpoint."""

import json
import random


def train(config, run):
    """Train with `config`, a dict; `run` reports, stores and asks. Returns the final metrics."""
    rng = random.Random(config["seed"])
    points = [(x / 10, 3 * x / 10 + 1 + rng.gauss(0, 0.01)) for x in range(20)]
    state = load(run) or {"step": 0, "slope": 0.0, "offset": 0.0, "velocity": [0.0, 0.0]}
    while state["step"] < config["steps"]:
        if run.stop_requested:  # the time limit is near, or the task is preempted
            save(run, state)
            raise run.Interrupted()
        loss = step(state, points, **config["optim"])
        if state["step"] % 10 == 0:
            run.report(state["step"], loss=loss)
            save(run, state)
    return {"loss": loss, "slope": state["slope"], "offset": state["offset"]}


def step(state, points, lr, momentum):
    """Take one step of gradient descent with momentum; returns the mean squared error before it."""
    errors = [(x, state["slope"] * x + state["offset"] - y) for x, y in points]
    gradient = [2 * sum(e * x for x, e in errors) / len(errors), 2 * sum(e for _, e in errors) / len(errors)]
    state["velocity"] = [momentum * v - lr * g for v, g in zip(state["velocity"], gradient, strict=True)]
    state["slope"] += state["velocity"][0]
    state["offset"] += state["velocity"][1]
    state["step"] += 1
    return sum(e * e for _, e in errors) / len(errors)


def save(run, state):
    """Write the state aside and rename it: a checkpoint is there as a whole, or not at all."""
    aside = run.checkpoint_dir / "state.json.aside"
    aside.write_text(json.dumps(state))
    aside.rename(run.checkpoint_dir / "state.json")


def load(run):
    """Return the state that an earlier attempt left, None at the first."""
    if run.resume_from is None:
        return None
    return json.loads((run.resume_from / "state.json").read_text())
