"""Runs the command line and says, as the last line of stderr, how long each Slurm command, the expansion and the manifests took.

python -m benchmarks.timed launch grids/big.yaml --yes
"""

from __future__ import annotations

import atexit
import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import orchestrator.cli.launch as launch
import orchestrator.cluster.slurm as slurm
import orchestrator.launch.apply as apply
from orchestrator.cli.main import main

SPENT: Counter[str] = Counter()


def timed(function: Callable[..., Any], name: Callable[..., str]) -> Callable[..., Any]:
    """Return the function, with the time that it takes counted under a name made from its arguments."""

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        began = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            SPENT[name(*args)] += time.perf_counter() - began

    return wrapped


if __name__ == "__main__":
    slurm.run_command = timed(slurm.run_command, lambda argv, **_: argv[0])
    apply._write_run_folders = timed(apply._write_run_folders, lambda *_: "manifests")
    launch.make_draft = timed(launch.make_draft, lambda *_, **__: "expansion")
    atexit.register(lambda: print(json.dumps(SPENT), file=sys.stderr))
    main(sys.argv[1:])
