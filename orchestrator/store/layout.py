"""Every path below a runs folder, from one place; nothing else joins file names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from orchestrator.store.errors import InputError

RUN_ID = re.compile(r"[0-9a-f]{16}\Z")
GRID_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}\Z")
TOKEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,119}\Z")


@dataclass(frozen=True)
class AttemptPaths:
    """The folder of one start of a run."""

    dir: Path

    @property
    def start(self) -> Path:
        """Who owns the attempt; present before the folder has its name."""
        return self.dir / "start.json"

    @property
    def config(self) -> Path:
        """The complete config as JSON, for a command."""
        return self.dir / "config.json"

    @property
    def log(self) -> Path:
        """Standard output and error of the run."""
        return self.dir / "log.txt"

    @property
    def heartbeat(self) -> Path:
        """Rewritten by the worker while the run lives."""
        return self.dir / "heartbeat"

    @property
    def metrics(self) -> Path:
        """One line a report: {"step": 3, "val/ssim": 0.8}."""
        return self.dir / "metrics.jsonl"

    @property
    def final(self) -> Path:
        """What a command measured in the end, as one JSON mapping."""
        return self.dir / "metrics.json"

    @property
    def checkpoint(self) -> Path:
        """Folder for what a resumed attempt continues from."""
        return self.dir / "checkpoint"

    @property
    def images(self) -> Path:
        return self.dir / "images"

    @property
    def tensorboard(self) -> Path:
        return self.dir / "tb"

    @property
    def end(self) -> Path:
        """How the attempt ended, whatever the end."""
        return self.dir / "end.json"

    @property
    def result(self) -> Path:
        """The proof of success, written last."""
        return self.dir / "result.json"


@dataclass(frozen=True)
class RunPaths:
    """The folder of one run; its name is the run id."""

    dir: Path

    @property
    def manifest(self) -> Path:
        """The derived copy of the run's line in manifest.jsonl."""
        return self.dir / "manifest.json"

    @property
    def stop(self) -> Path:
        """A wish: cancel, requeue or prune, with who and why."""
        return self.dir / "stop"

    def attempt(self, number: int, restart: int = 0) -> AttemptPaths:
        """Return attempt `number`; `restart` counts Slurm's own requeues of the same task."""
        return AttemptPaths(self.dir / attempt_name(number, restart))


@dataclass(frozen=True)
class SubmissionPaths:
    """The folder of one array, or of one set of local workers; its name is the token."""

    dir: Path

    @property
    def submission(self) -> Path:
        """What all tasks of the submission have in common."""
        return self.dir / "submission.json"

    @property
    def table(self) -> Path:
        """One line a run: its id and the number of the attempt allotted to it."""
        return self.dir / "table.jsonl"

    @property
    def request(self) -> Path:
        """What was asked of the scheduler; the same again when its answer got lost."""
        return self.dir / "request.json"

    @property
    def script(self) -> Path:
        """The text that sbatch got."""
        return self.dir / "script.sh"

    def journal(self, index: int, restart: int = 0) -> Path:
        """Return the journal of one worker."""
        return self.dir / (f"worker-{index}.{restart}.jsonl" if restart else f"worker-{index}.jsonl")

    @property
    def logs(self) -> Path:
        """Folder of the workers' own output."""
        return self.dir / "logs"

    def log(self, index: int) -> Path:
        """Return the output of one worker, also of its restarts."""
        return self.logs / f"worker-{index}.log"


@dataclass(frozen=True)
class PreparePaths:
    """The folder of one prepare command; its name is the hash of the text."""

    dir: Path

    @property
    def command(self) -> Path:
        """What is run, where, and with what resources."""
        return self.dir / "command.json"

    @property
    def log(self) -> Path:
        return self.dir / "log.txt"

    @property
    def lock(self) -> Path:
        """Guards the command among the processes of one host."""
        return self.dir / "lock"

    @property
    def failed(self) -> Path:
        """The exit code and the log's last lines; removed by the next try."""
        return self.dir / "failed.json"

    @property
    def result(self) -> Path:
        """The proof that the command ended well."""
        return self.dir / "result.json"


@dataclass(frozen=True)
class TrashPaths:
    """Where single files and folders go that are not wanted any more: one batch a prune."""

    root: Path
    """What they were taken from; paths of items are relative to it."""
    dir: Path
    """Folder of the batches, below `root`."""

    def index(self, batch: str) -> Path:
        """Return what says which things a batch holds, where they came from, when and why."""
        return self.dir / batch / "index.json"

    def files(self, batch: str) -> Path:
        """Return the folder that repeats the paths of what the batch holds."""
        return self.dir / batch / "files"

    @property
    def lock(self) -> Path:
        """Guards a trash that no ledger guards."""
        return self.dir / "lock"


@dataclass(frozen=True)
class BoardPaths:
    """What TensorBoard shows of one run: a derived folder of links; its name tells the run's varying keys."""

    dir: Path

    @property
    def mark(self) -> Path:
        """Says that the folder is ours, and what it was made from."""
        return self.dir / ".mrsweep.json"

    @property
    def facts(self) -> Path:
        """Event file with the hyper-parameters, the state and the final metrics."""
        return self.dir / "mrsweep-facts.tfevents.0"

    @property
    def curves(self) -> Path:
        """Event file made from metrics.jsonl, for a run that wrote no event files."""
        return self.dir / "mrsweep-curves.tfevents.0"


@dataclass(frozen=True)
class GridPaths:
    """The folder of one grid, `runs/<grid>` or `runs/<grid>@<variant>`."""

    dir: Path

    @property
    def name(self) -> str:
        return self.dir.name

    @property
    def manifest(self) -> Path:
        """One line a run, append-only: the truth about which runs there are."""
        return self.dir / "manifest.jsonl"

    def applied(self, version: int) -> Path:
        """Return the n-th applied grid file, with csv and base files frozen in."""
        return self.dir / f"grid-{version}.yaml"

    def applied_versions(self) -> list[int]:
        """Return the numbers of the applied grid files, oldest first."""
        names = (re.fullmatch(r"grid-(\d+)\.yaml", path.name) for path in self.dir.glob("grid-*.yaml"))
        return sorted(int(match[1]) for match in names if match)

    @property
    def ledger(self) -> Path:
        return self.dir / "ledger"

    @property
    def acts(self) -> Path:
        return self.dir / "acts"

    def act(self, decision: str) -> Path:
        """Return the file whose exclusive creation allows one act."""
        return self.acts / decision

    @property
    def messages(self) -> Path:
        """Folder of what is told to people: messages, and the tries to deliver them."""
        return self.dir / "messages"

    def message(self, key: str) -> Path:
        """Return the file whose exclusive creation decides that something is told."""
        return self.messages / f"{key}.json"

    def message_table(self, key: str) -> Path:
        """Return the table that goes with a message."""
        return self.messages / f"{key}.csv"

    def message_try(self, key: str, target: str, number: int) -> Path:
        """Return the file whose exclusive creation allows one try to deliver a message."""
        return self.messages / f"{key}.{target}.{number}.json"

    @property
    def submissions(self) -> Path:
        return self.dir / "submissions"

    def submission(self, token: str) -> SubmissionPaths:
        """Return the folder of the submission named `token`."""
        if not TOKEN.match(token):
            raise InputError(f"{self.dir}: '{token[:40]}' is not the name of a submission")
        return SubmissionPaths(self.submissions / token)

    def prepare(self, digest: str) -> PreparePaths:
        """Return the folder of the prepare command whose text hashes to `digest`."""
        return PreparePaths(self.dir / "prepare" / digest)

    @property
    def settings(self) -> Path:
        """How the grid was launched last: profile, folder, code. What watch and requeue use."""
        return self.dir / "launch.json"

    def janitor(self, number: int) -> Path:
        """Return the folder of a job that watches the grid."""
        return self.dir / ("janitor" if number == 1 else f"janitor-{number}")

    @property
    def paused(self) -> Path:
        """Derived: there while the grid is paused; workers look for it before they start a run."""
        return self.dir / "paused"

    @property
    def quiet(self) -> Path:
        """Derived: what computing runs showed at the last check, and since when."""
        return self.dir / "quiet.json"

    @property
    def absent(self) -> Path:
        """Derived: tasks that no source named, and since when."""
        return self.dir / "absent.json"

    @property
    def boards(self) -> Path:
        """Derived: the folder to give to TensorBoard."""
        return self.dir / "tensorboard"

    def board(self, name: str) -> BoardPaths:
        """Return the folder of the run that TensorBoard shows under this name."""
        return BoardPaths(self.boards / name)

    @property
    def reported(self) -> Path:
        """Derived: what the runs reported, in columns."""
        return self.dir / "metrics.cache"

    @property
    def shown(self) -> Path:
        """What tables show of that: derived."""
        return self.dir / "metrics.shown"

    @property
    def report(self) -> Path:
        """Derived: the page about the grid."""
        return self.dir / "report.html"

    @property
    def code(self) -> Path:
        return self.dir / "code"

    @property
    def trash(self) -> Path:
        """Where whole runs go, each under its id."""
        return self.dir / "trash"

    @property
    def parts(self) -> TrashPaths:
        """The trash of attempts, checkpoints and other parts of runs that stay."""
        return TrashPaths(self.dir, self.trash / "parts")

    @property
    def condemned(self) -> Path:
        """What is being deleted: no way leads back from here, and the next deletion finishes it."""
        return self.trash / "condemned"

    def pruned(self, run_id: str) -> RunPaths:
        """Return the folder of a run that lies in the trash."""
        return RunPaths(self.trash / run_id)

    def run(self, run_id: str) -> RunPaths:
        """Return the folder of the run `run_id`, 16 hex digits."""
        return RunPaths(self.dir / self._run_name(run_id))

    def result(self, run_id: str, number: int, restart: int = 0) -> str:
        """Return the proof of an attempt, `run(run_id).attempt(number, restart).result`, as text: a look asks for thousands."""
        return f"{self.dir}/{self._run_name(run_id)}/{attempt_name(number, restart)}/result.json"

    def attempt(self, run_id: str, number: int, restart: int = 0) -> str:
        """Return the folder of an attempt, `run(run_id).attempt(number, restart).dir`, as text: a summary asks for thousands."""
        return f"{self.dir}/{self._run_name(run_id)}/{attempt_name(number, restart)}"

    def run_manifest(self, run_id: str) -> str:
        """Return the derived manifest of a run, `run(run_id).manifest`, as text: a launch writes thousands."""
        return f"{self.dir}/{self._run_name(run_id)}/manifest.json"

    def _run_name(self, run_id: str) -> str:
        if not RUN_ID.match(run_id):
            raise InputError(f"{self.dir}: '{run_id[:40]}' is not a run id; an id has 16 hex digits")
        return f"{run_id[:2]}/{run_id}"


def attempt_name(number: int, restart: int = 0) -> str:
    """Return the folder name of an attempt, `attempt-2` or, after a restart by Slurm, `attempt-2.1`."""
    return f"attempt-{number}.{restart}" if restart else f"attempt-{number}"


def parse_attempt_name(name: str) -> tuple[int, int] | None:
    """Return (number, restart) of an attempt's folder name, None for any other name."""
    match = re.fullmatch(r"attempt-(\d+)(?:\.(\d+))?", name)
    return (int(match[1]), int(match[2] or 0)) if match else None


def grid_paths(runs: Path, name: str, variant: str | None = None) -> GridPaths:
    """Return the absolute folder of grid `name` below `runs`; a variant has a folder of its own."""
    for part in (name, variant):
        if part is not None and not GRID_NAME.match(part):
            raise InputError(f"'{part[:40]}' cannot be the name of a grid or variant. Use letters, digits, _ . and - (at most 100).")
    return GridPaths(runs.absolute() / (f"{name}@{variant}" if variant else name))


def event_tree_trash(folder: Path) -> TrashPaths:
    """Return the trash of a folder of TensorBoard files."""
    return TrashPaths(folder, folder / ".trash-mrsweep")
