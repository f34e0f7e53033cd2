"""submitit's LocalExecutor, bent to start workers that outlive launch: own session, output to files, no time limit."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from submitit import LocalExecutor, LocalJob

from orchestrator.store.layout import SubmissionPaths


class DetachedExecutor(LocalExecutor):
    """Starts one worker in `folder`; `submit_worker` returns at once, also when standard output is a pipe."""

    def submit_worker(self, index: int, command: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        """Start worker `index` and return its process, which nobody needs to wait for."""
        self._index = index
        self._environment = environment
        self._submit_command(shlex.join(command))
        return self._process

    def _submit_command(self, command: str) -> LocalJob[Any]:
        """In place of submitit's controller, which would end the worker at a time limit: the worker itself."""
        with open(SubmissionPaths(Path(self.folder)).log(self._index), "ab") as log:
            self._process = subprocess.Popen(
                shlex.split(command),
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # the end of the terminal is a signal to its session
            )
        return LocalJob(folder=self.folder, job_id=str(self._process.pid), process=self._process)
