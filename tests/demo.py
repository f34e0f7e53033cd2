"""The main job from start to end, as a person would type it: `make demo`."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
MRSWEEP = Path(sys.executable).with_name("mrsweep")
FOLDER = ROOT / "demo"
GRID = "quickstart@smoke"
AGAIN = "quickstart_again@smoke"
DEADLINE_S = 600
CHANGES = {
    "name: quickstart": "name: quickstart_again",
    "base/unet.yaml": "../grids/base/unet.yaml",
    "mask.acceleration: [4, 8]": "mask.acceleration: [4]",
    "seed: [1, 2]": "seed: [1]",
}
"""What makes a second grid of two runs, both among the first's, out of the quickstart grid."""


def main() -> None:
    """Launch the smoke variant, kill a worker, watch the run resume, prune duplicates, write tables and a report."""
    began = time.monotonic()
    shutil.rmtree(FOLDER / "runs", ignore_errors=True)
    FOLDER.mkdir(exist_ok=True)
    mrsweep("expand", "grids/quickstart.yaml", "--variant", "smoke", "--dry-run")
    mrsweep("launch", "grids/quickstart.yaml", "--variant", "smoke", "--profile", "local", "--yes")
    victim = kill_a_worker()
    say(f"killed the worker of run {victim} with SIGKILL, on purpose")
    mrsweep("watch", GRID)
    say("a second grid computes two of the runs again, and prune finds the duplicates")
    mrsweep("launch", str(second_grid()), "--variant", "smoke", "--profile", "local", "--no-adopt", "--yes")
    mrsweep("watch", AGAIN)
    mrsweep("prune", AGAIN, "--duplicates", "--yes")
    mrsweep("status", GRID)
    mrsweep("summary", GRID)
    mrsweep("summary", GRID, "-o", str(FOLDER / "summary.csv"))
    mrsweep("summary", GRID, "--by", "mask.kind", "--across", "mask.acceleration", "--over", "seed", "--metric", "val/ssim")
    mrsweep("report", GRID, "-o", str(FOLDER / "report.html"))
    check(victim)
    say(f"done in {time.monotonic() - began:.0f} s; in {FOLDER}: the table summary.csv, and report.html, a page to look at")


def mrsweep(*arguments: str) -> None:
    """Run a verb and show it; a failure ends the demo."""
    shown = " ".join(argument.removeprefix(f"{ROOT}/") for argument in arguments)
    print(f"\n$ mrsweep {shown}", flush=True)
    subprocess.run([MRSWEEP, *arguments, *runs_option(arguments[0])], cwd=ROOT, check=True)


def runs_option(verb: str) -> list[str]:
    """Every verb keeps to the demo's own runs folder."""
    return ["--runs", str(FOLDER / "runs")]


def say(text: str) -> None:
    """Print a line of the story."""
    print(f"\n# {text}", flush=True)


def overview(grid: str) -> dict:
    """Return what `status --json` says of a grid."""
    shown = subprocess.run([MRSWEEP, "status", grid, "--json", *runs_option("status")], cwd=ROOT, check=True, capture_output=True)
    return json.loads(shown.stdout)


def kill_a_worker() -> str:
    """Wait until a run has left a checkpoint and is still computing, and kill the worker that computes it."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        for line in overview(GRID)["lines"]:
            attempt = FOLDER / "runs" / GRID / line["id"][:2] / line["id"] / "attempt-1"
            if line["state"] == "running" and any(attempt.glob("checkpoint/*")) and not (attempt / "end.json").exists():
                os.kill(json.loads((attempt / "start.json").read_bytes())["pid"], signal.SIGKILL)
                return str(line["id"])
        time.sleep(0.2)
    raise SystemExit("no run left a checkpoint in time")


def second_grid() -> Path:
    """Write a grid of another name that asks for two runs of the first."""
    text = (ROOT / "grids" / "quickstart.yaml").read_text()
    for old, new in CHANGES.items():
        assert old in text, f"grids/quickstart.yaml no longer holds {old!r}"
        text = text.replace(old, new)
    path = FOLDER / "quickstart_again.yaml"
    path.write_text(text)
    return path


def check(victim: str) -> None:
    """Make sure that the story came out as told: everything completed, the victim in its second attempt."""
    picture = overview(GRID)
    assert set(picture["counts"]) == {"completed"}, picture["counts"]
    [line] = [line for line in picture["lines"] if line["id"] == victim]
    assert line["attempt"] == 2, line
    log = FOLDER / "runs" / GRID / victim[:2] / victim / "attempt-2" / "log.txt"
    assert "resum" in log.read_text().lower(), log.read_text()
    assert overview(AGAIN)["counts"].get("pruned"), "no duplicate was pruned"


if __name__ == "__main__":
    main()
