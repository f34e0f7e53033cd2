"""submitit's SlurmExecutor, bent to submit an array of one constant command: no pickle, our own script file."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from submitit import SlurmJob
from submitit.slurm.slurm import SlurmExecutor

from orchestrator.cluster.command import Answer
from orchestrator.cluster.options import refuse_odd_text
from orchestrator.cluster.scheduler import ArrayRequest
from orchestrator.store import files
from orchestrator.store.errors import InputError, SubmitUnknown
from orchestrator.store.layout import SubmissionPaths

WARNING_SIGNAL = "USR1"
"""The signal that tells a worker of its time limit; for Slurm it is named here alone."""

_REPLY = re.compile(r"^(\d+)(?:;(\S+))?[ \t]*$", re.MULTILINE)
"""What `sbatch --parsable` prints: id[;cluster]. Sites may print banners around it."""

_JOB_ID = re.compile(r"\d+\Z")


class ArrayExecutor(SlurmExecutor):
    """Submits one request as a job array, also where it has one task. Raises InputError for text that cannot enter a script.

    options: sbatch's long names → checked values, empty for a bare flag. setup: shell lines of the profile.
    """

    def __init__(self, request: ArrayRequest, *, options: Mapping[str, str], setup: Sequence[str], warning_s: float) -> None:
        refuse_odd_text(request)
        _refuse_foreign_ids(request)
        super().__init__(folder=request.folder)
        self.request = request
        self.paths = SubmissionPaths(Path(self.folder))
        self.by_srun = request.resources.nodes > 1
        self.update_parameters(
            job_name=request.token,
            time=int(options["time"]),
            nodes=request.resources.nodes,
            array_parallelism=request.throttle,
            wckey=None,  # submitit's own default is refused where wckeys are enforced
            stderr_to_stdout=True,
            setup=list(setup) or None,
            use_srun=self.by_srun,
            srun_args=self._srun_arguments() if self.by_srun else None,
            additional_parameters=self._flags(options, warning_s),
        )
        self.parameters["map_count"] = request.tasks

    @classmethod
    def affinity(cls) -> int:
        """Say yes everywhere: a script can be looked at on any machine, and a missing sbatch is told when it is called."""
        return 2

    def text(self) -> str:
        """Return the script; the same request gives the same text."""
        return self._make_submission_file_text(self._command(), "")

    def submit_with(self, call: Callable[[Sequence[str]], Answer]) -> tuple[str, str]:
        """Write the script, let `call` run sbatch on it, and return job id and cluster."""
        self._call = call
        job = self._submit_command(self._command())
        return job.job_id, self._cluster

    def _command(self) -> str:
        """exec gives python the place of the batch shell: the warning reaches it, and its exit code is that of the task."""
        command = shlex.join(self.request.command)
        return command if self.by_srun else f"exec {command}"

    def _submit_command(self, command: str) -> SlurmJob[Any]:
        """As submitit's, but with one script of a constant name; one that lies there with this text is left as it is."""
        text = self._make_submission_file_text(command, "").encode()
        if not self.paths.script.exists() or self.paths.script.read_bytes() != text:
            files.write_atomic(self.paths.script, text)
        answer = self._call(self._make_submission_command(self.paths.script))
        match = _REPLY.search(answer.out)
        if match is None:
            said = answer.out.strip()[:200]
            raise SubmitUnknown(f"{self.request.token}: sbatch told no job id but '{said}'; the job may be queued all the same")
        self._cluster = match[2] or ""
        return SlurmJob(folder=self.folder, job_id=match[1], tasks=[0])

    def _make_submission_command(self, submission_file_path: Path) -> list[str]:
        return ["sbatch", "--parsable", str(submission_file_path)]

    def _flags(self, options: Mapping[str, str], warning_s: float) -> dict[str, str | bool]:
        """Return what submitit has no parameter for, or another default."""
        request = self.request
        flags: dict[str, str | bool] = {name: value or True for name, value in options.items() if name not in ("time", "nodes")}
        # B: signals the batch shell, whose place python has taken; without it the steps that srun started are signalled.
        flags["signal"] = f"{'' if self.by_srun else 'B:'}{WARNING_SIGNAL}@{round(warning_s)}"
        # singleton: a second job of this name waits until the first has gone, also while that is held or requeued.
        after = f"afterok:{':'.join(request.after)}," if request.after else ""
        flags |= {"dependency": f"{after}singleton", "kill-on-invalid-dep": "yes", "output": self._log_pattern()}
        flags |= {"exclude": ",".join(filter(None, [str(options.get("exclude", "")), *request.exclude]))} if request.exclude else {}
        return flags | ({"begin": f"now+{request.begin_in_s}"} if request.begin_in_s else {})

    def _srun_arguments(self) -> list[str]:
        """A log a node, as they write at once; the last --output counts. Since 22.05 srun does not inherit --cpus-per-task."""
        shape = ["--ntasks-per-node=1", f"--cpus-per-task={self.request.resources.cpus}"]
        return [*shape, "--kill-on-bad-exit=1", "--open-mode=append", f"--output={self._log_pattern('.%t')}"]

    def _log_pattern(self, rank: str = "") -> str:
        """logs/worker-<index>.log; Slurm replaces %a and %t, and takes %% for a percent sign that the folder's name holds."""
        return f"{str(self.paths.logs).replace('%', '%%')}/worker-%a{rank}.log"


def _refuse_foreign_ids(request: ArrayRequest) -> None:
    for job_id in request.after:
        if not _JOB_ID.match(job_id):
            raise InputError(f"submission {request.token}: {job_id[:40]!a} is not the id of a job that it could wait for")
