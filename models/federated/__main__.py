"""Command line: python -m models.federated CONFIG.json trains one federation without the orchestrator."""

from __future__ import annotations

import sys

from models.federated import train
from models.training.__main__ import main

EXAMPLE = """example config (models/federated/config.py and docs/models.md describe all keys):
  {"model": {"kind": "unet"}, "data": {"layout": "sites", "root": "datasets/sites", "sites": ["B", "F"], "contrast": "T1"},
   "federated": {"clients": ["B"], "target": "F", "method": "mrcm"}}"""

if __name__ == "__main__":
    sys.exit(main(train=train, program="models.federated", example=EXAMPLE))
