"""What the runs of these tests compute; each test copies it into its project."""

import json
import os
import time
from pathlib import Path


def train(config, run):
    """Count to `steps` with a pause at each, from the checkpoint on; report loss = seed + 1 / step.

    A run with a `gate` ends only when a file of that name lies in the project: what a test does to it finds it alive.
    """
    step = 0
    if run.resume_from is not None:
        step = json.loads((run.resume_from / "state.json").read_text())["step"]
    seen = {"first": step, "gpus": os.environ.get("CUDA_VISIBLE_DEVICES"), "pid": os.getpid()}
    (run.dir / "seen.json").write_text(json.dumps(seen))
    while step < config.get("steps", 1):
        if run.stop_requested:
            raise run.Interrupted()
        time.sleep(config.get("pause", 0))
        step += 1
        run.report(step, loss=config["seed"] + 1 / step)
        aside = run.checkpoint_dir / ".state.json"
        aside.write_text(json.dumps({"step": step}))
        aside.rename(run.checkpoint_dir / "state.json")
    while "gate" in config and not Path(config["gate"]).exists():
        if run.stop_requested:
            raise run.Interrupted()
        time.sleep(0.05)
    return {"steps": step}


def nothing(config, run):
    """Be done at once; every thousandth part of a second counts where there are thousands of runs."""
    return {"loss": config["seed"]}


def learn(config, run):
    """Fit a small network with torch; what comes out depends on every bit of the arithmetic."""
    import torch

    torch.manual_seed(config["seed"])
    net = torch.nn.Sequential(torch.nn.Linear(16, 64), torch.nn.ReLU(), torch.nn.Linear(64, 1))
    optim = torch.optim.Adam(net.parameters(), lr=config["lr"])
    data = torch.randn(256, 16)
    for step in range(20):
        loss = (net(data) - data.prod(dim=1, keepdim=True)).square().mean()
        optim.zero_grad()
        loss.backward()
        optim.step()
        run.report(step, loss=loss.item())
    return {"threads": torch.get_num_threads(), "norm": sum(p.norm().item() for p in net.parameters())}
