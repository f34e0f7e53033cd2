"""Starts the processes of a training with torchrun: python -m models.training.parallel.launcher ADDRESS COUNT."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import main as torchrun

BY_SIGNAL = 128
"""Added, as shells do, to the number of the signal that ended a process."""


def main(argv: Sequence[str]) -> int:
    """Run all processes to their end. Returns 0, or how the first that failed has ended."""
    address, count = argv
    try:
        torchrun(["--standalone", "--nproc-per-node", count, "-m", "models.training.parallel.process", address])
    except ChildFailedError as error:
        code: int = error.get_first_failure()[1].exitcode
        return code if code >= 0 else BY_SIGNAL - code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
