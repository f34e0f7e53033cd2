"""A worker that only writes its journal: python worker_for_tests.py BEHAVIOUR FOLDER."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from orchestrator.store.events import Arrived, Left
from orchestrator.store.files import Journal
from orchestrator.store.layout import SubmissionPaths
from orchestrator.store.process import current_process


def main(behaviour: str, folder: Path) -> None:
    """silent: lives and writes nothing. short: arrives and leaves. polite, deaf: live, and end at SIGTERM or not."""
    index = int(os.environ["MRSWEEP_INDEX"])
    journal = Journal(SubmissionPaths(folder).journal(index))

    def leave(number: int, frame: FrameType | None) -> None:
        journal.append(Left(at=time.time(), reason="SIGTERM"))
        sys.exit(0)

    signal.signal(signal.SIGTERM, signal.SIG_IGN if behaviour == "deaf" else leave)
    if behaviour != "silent":
        me = current_process()
        journal.append(Arrived(at=time.time(), host=me.host, boot_id=me.boot_id, pid=me.pid, start_time=me.start_time, index=index))
    print(f"gpus={os.environ.get('CUDA_VISIBLE_DEVICES')}", flush=True)
    if behaviour == "short":
        journal.append(Left(at=time.time(), reason="done"))
        return
    if behaviour == "deaf" and os.fork() == 0:
        signal.pause()
    time.sleep(60)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
