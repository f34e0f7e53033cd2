"""Command line: python -m models.training CONFIG.json trains one run without the orchestrator."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from data.errors import BadInput
from models.training import train
from models.training.alone import AloneRun, Stopped
from models.training.context import Run
from models.training.errors import Degenerate, Diverged, ProcessLost

EXAMPLE = """example config (models/config.py and docs/models.md describe all keys):
  {"model": {"kind": "unet"}, "data": {"layout": "fastmri", "root": "datasets/quickstart"}, "train": {"epochs": 3}}"""
ENDING = """

Called again with the same --out, it goes on from the last checkpoint there.
exit codes: 0 done, 1 it failed while training, 2 wrong config or data, 130 stopped after a checkpoint"""
STOPPED = 130


Train = Callable[[Mapping[str, Any], Run], dict[str, float]]


def main(argv: Sequence[str] | None = None, *, train: Train = train, program: str = "models.training", example: str = EXAMPLE) -> int:
    """Run the command; returns the exit code. train: what is done with the config; program, example: how it names itself, and is used."""
    arguments = _parser(program, example).parse_args(argv)
    run = AloneRun(arguments.out or Path("runs") / arguments.config.stem)
    run.stop_on_signals()
    try:
        results = train(read_json(arguments.config), run)
        run.finish(results)
    except BadInput as error:
        return _refuse(program, str(error), 2)
    except (Diverged, Degenerate, ProcessLost) as error:
        return _refuse(program, str(error), 1)
    except Stopped:
        return _refuse(program, f"stopped; call it again with --out {run.dir} to go on", STOPPED)
    except OSError as error:
        return _refuse(program, f"{error.filename or run.dir}: {error.strerror or error}. Choose another --out, or make room.", 1)
    shown = {name: value for name, value in results.items() if name in ("test/ssim", "test/psnr", "test/nmse", "test/n", "best_epoch")}
    run.log(f"{run.dir}: " + ", ".join(f"{name} {value:.4g}" for name, value in shown.items()))
    return 0


def _refuse(program: str, text: str, code: int) -> int:
    sys.stderr.write(f"{program}: {text}\n")
    return code


def read_json(path: Path) -> dict[str, Any]:
    """Read a config. Raises BadInput for a file that is missing or no JSON object."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror}). Name a JSON file with a config.") from error
    except ValueError as error:
        raise BadInput(f"{path}: is no JSON ({error}). Keys and texts stand in double quotes, and no comma is last.") from error
    if not isinstance(values, dict):
        raise BadInput(f'{path}: expected an object with model and data, got {type(values).__name__}. Write {{"model": …, "data": …}}.')
    return values


def _parser(program: str, example: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python -m {program}",
        description="Train, validate and test one configuration on this machine.",
        epilog=example + ENDING,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("config", type=Path, metavar="CONFIG.json", help="the configuration, one JSON object")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="folder for metrics, pictures and checkpoints (default runs/ and the config's name)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
