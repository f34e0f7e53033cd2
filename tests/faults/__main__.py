"""Prints the figures of docs/failures.md: how many failures are told apart, and what the crash campaign found: python -m tests.faults"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.faults.campaign import count, play, sample
from tests.faults.corpus import read_cases, score


def main() -> int:
    """Print the figures; 1 when a promise was broken."""
    print(score(read_cases()).summary())
    with tempfile.TemporaryDirectory(prefix="mrsweep-campaign-") as folder:
        faults = play(Path(folder) / "faults")
        kills = play(Path(folder) / "kills", choose=lambda stage: sample(stage.real_kills(), 5))
    campaign = count([*faults, *kills])
    print(campaign.told)
    for sentence in campaign.broken:
        print(f"broken: {sentence}", file=sys.stderr)
    return int(bool(campaign.broken))


if __name__ == "__main__":
    sys.exit(main())
