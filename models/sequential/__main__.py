"""Command line: python -m models.sequential CONFIG.json runs one sampler without the orchestrator."""

from __future__ import annotations

import sys

from models.sequential import train
from models.training.__main__ import main

EXAMPLE = """example config (models/sequential/config.py and docs/models.md describe all keys):
  {"data": {"layout": "arrays", "root": "datasets/mask_digits"}, "reconstructor": "runs/spirit/checkpoint/best.pt",
   "policy": {"kind": "dqn"}}"""

if __name__ == "__main__":
    sys.exit(main(train=train, program="models.sequential", example=EXAMPLE))
