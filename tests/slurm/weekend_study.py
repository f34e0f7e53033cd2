"""Runs that a weekend brings: most are well, some need more memory or time, some can never end well; copied into the project."""

import json
import os
import signal
import time

MB = 1024**2


def train(config, run):
    """Count to `steps` from the newest checkpoint on, and go wrong on the way as `kind` says; report loss = seed + 1 / step."""
    step = _saved_step(run)
    while step < config["steps"]:
        if run.stop_requested:
            raise run.Interrupted()
        time.sleep(config["pause"])
        step += 1
        if step == 3:
            TROUBLE[config["kind"]](config)
        run.report(step, loss=config["seed"] + 1 / step)
        aside = run.checkpoint_dir / ".state.json"
        aside.write_text(json.dumps({"step": step}))
        aside.rename(run.checkpoint_dir / "state.json")
    return {"steps": step}


def _saved_step(run):
    if run.resume_from is None:
        return 0
    return json.loads((run.resume_from / "state.json").read_text())["step"]


def none(config):
    """Go well."""


def host_oom(config):
    """Take 180 MB, for half a second: too much for the memory first asked for, not for twice of it."""
    kept = []
    while 10 * len(kept) < 180:
        kept.append(bytearray(10 * MB))
        time.sleep(0.02)


def gpu_oom(config):
    """Raise what torch raises, unless the micro-batch was halved."""
    if config["micro_batch"] > 4:
        raise type("OutOfMemoryError", (RuntimeError,), {})("CUDA out of memory. Tried to allocate 2.00 GiB.")


def diverged(config):
    """Find a NaN in the loss."""
    raise FloatingPointError("the loss is NaN at step 3")


def bug(config):
    """Fail by a mistake of the programmer."""
    raise KeyError("learning_rate")


def bad_input(config):
    """Miss a file."""
    with open(f"/nowhere/volume_{config['seed']}.h5", "rb") as volume:
        volume.read()


def silent(config):
    """Leave with exit code 0 and without a result."""
    os._exit(0)


def killed(config):
    """Die by a signal that nobody explains."""
    os.kill(os.getpid(), signal.SIGKILL)


def crash(config):
    """Die in native code."""
    os.kill(os.getpid(), signal.SIGSEGV)


TROUBLE = {name: globals()[name] for name in ("none", "host_oom", "gpu_oom", "diverged", "bug", "bad_input", "silent", "killed", "crash")}
TROUBLE["long"] = none
