"""Entries for the tests of the command line: quick, patient, failing, in need of a checkpoint. No library but Python's."""

import json
import time
from pathlib import Path


def quick(config, run):
    """Report one step and end."""
    run.report(1, loss=config["x"])
    print(f"x is {config['x']}")
    (run.checkpoint_dir / "state.json").write_text(json.dumps({"x": config["x"]}))
    return {"loss": config["x"], "twice": 2 * config["x"]}


def patient(config, run):
    """Write a checkpoint, then wait for a file `go` in the folder of launch; say what was resumed."""
    before = json.loads((run.resume_from / "state.json").read_text())["step"] if run.resume_from else 0
    (run.checkpoint_dir / "state.json").write_text(json.dumps({"step": before + 1}))
    run.report(before + 1, loss=0.5)
    print(f"resumed after step {before}" if before else "began anew", flush=True)
    while not Path("go").exists():
        if run.stop_requested:
            raise run.Interrupted()
        time.sleep(0.05)
    return {"loss": 0.25, "resumed": before}


def fussy(config, run):
    """Fail for one value of x, as long as there is no file `mended`."""
    if config["x"] == 2 and not Path("mended").exists():
        raise ValueError(f"x must not be {config['x']}")
    return {"loss": 1.0}


def reader(config, run):
    """Open the data file that the config names."""
    return {"bytes": len(Path(config["file"]).read_bytes())}


def pupil(config, run):
    """Start from the checkpoint of another run."""
    state = json.loads((run.needs["weights"] / "state.json").read_text())
    return {"loss": state["step"] / 10}
