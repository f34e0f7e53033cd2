"""mrsweep: grid searches on Slurm. From Python: `orchestrator.open("runs/mtl_knee")` with .launch(), .status() and .results()."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestrator.api import Grid, Grids, open

__all__ = ["Grid", "Grids", "open"]


def __getattr__(name: str) -> Any:
    """Load the Python interface when it is first asked for: a verb of the command line does not need it."""
    if name not in __all__:
        raise AttributeError(f"module 'orchestrator' has no attribute '{name}'. It has {', '.join(__all__)}.")
    return getattr(import_module("orchestrator.api"), name)
