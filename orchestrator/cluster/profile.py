"""Profiles: how a cluster wants to be asked, read from files of #SBATCH lines, set-up lines and #MRSWEEP constants."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_args

import msgspec

from orchestrator.store.errors import ProfileError, did_you_mean

SUFFIX = ".sh"

OPTION_NAME = re.compile(r"[a-z][a-z0-9-]*\Z")
OPTION_VALUE = re.compile(r"[A-Za-z0-9_.:+,=@%/&|*()\[\]!-]*\Z")
"""No blank, quote, dollar, backslash or control character: a value can never leave its #SBATCH line."""

_SHORT = {
    "A": "account", "C": "constraint", "D": "chdir", "G": "gpus", "H": "hold", "J": "job-name", "L": "licenses", "M": "clusters",
    "N": "nodes", "a": "array", "b": "begin", "c": "cpus-per-task", "d": "dependency", "e": "error", "n": "ntasks", "o": "output",
    "p": "partition", "q": "qos", "s": "oversubscribe", "t": "time", "w": "nodelist", "x": "exclude",
}  # fmt: skip
_BARE = frozenset({"contiguous", "exclusive", "hold", "no-requeue", "oversubscribe", "overcommit", "requeue", "spread-job"})


SchedulerName = Literal["slurm", "local"]
GpuOption = Literal["gres", "gpus", "none"]


class Option(msgspec.Struct, frozen=True, kw_only=True):
    """One sbatch option of a profile, by its long name; an empty value is a bare flag."""

    name: str
    value: str
    line: int


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """How this cluster, or this machine, wants to be asked."""

    name: str
    path: str
    """The file it was read from."""
    scheduler: SchedulerName = "slurm"
    options: tuple[Option, ...] = ()
    setup: tuple[str, ...] = ()
    """Shell lines of the script that come before the worker: module load …"""
    gpu: GpuOption = "gres"
    """How GPUs are asked for: --gres=gpu:N, --gpus-per-node=N, or not at all."""
    gpu_type: str = ""
    """Kind of GPU that stands before the number: a100."""
    larger_gpu: str = ""
    """Kind of GPU for runs that another had too little memory for, where the policy says `gpu_oom: {gpu: larger}`."""
    workers: int = 0
    """Workers at a time on this machine (local); 0: what its cores and GPUs allow."""
    visible_gpus: tuple[str, ...] | None = None
    """GPUs that local workers share; None: those that the environment or the machine shows."""
    poll_s: float = 60.0
    """Time between two looks at the scheduler."""
    settle_s: float = 180.0
    """Time in which a new submission or an end may still be unknown to the scheduler."""
    absent_s: float = 300.0
    """How long a task must be absent from healthy sources before that counts."""
    stall_min: float = 30.0
    """Time without progress after which a run is stalled [minutes]."""
    lease_s: float = 300.0
    """Time without a sign of life after which another process may take the pen."""
    heartbeat_s: float = 30.0
    warning_s: float = 120.0
    """How long before its time limit a task is warned."""
    visible_s: float = 120.0
    """How long a worker waits for files that the filesystem does not show yet."""
    backoff_s: float = 60.0
    """Between the second and the third try of a run that ends badly; twice as long between any two after it."""
    avoid_min: float = 360.0
    """How long a node is avoided on which runs were lost [minutes]."""
    janitor_min: float = 10.0
    """Between two rounds of the job that watches a grid [minutes]."""
    confirm_s: float = 10.0
    """How long a submission without an answer is looked for in the queue at a time."""
    kill_wait_s: float = 30.0
    """Time between the wish that a local worker ends and its end by force."""

    def option(self, name: str) -> Option | None:
        """Return the sbatch option with this long name; the last one where it is repeated, as sbatch does."""
        found = [option for option in self.options if option.name == name]
        return found[-1] if found else None


_CONSTANTS = frozenset(Profile.__struct_fields__) - {"name", "path", "options", "setup"}
_WORDS = {"scheduler": get_args(SchedulerName), "gpu": get_args(GpuOption), "gpu_type": (), "larger_gpu": ()}
"""Constants that are words, with the words that may stand there; none: any."""


def shipped_templates() -> Path:
    """Return the folder of the profiles that come with mrsweep: package data of a wheel, or the checkout's own folder."""
    spec = importlib.util.find_spec("orchestrator.templates")
    for location in (spec.submodule_search_locations or ()) if spec else ():
        return Path(location)
    return Path(__file__).parents[2] / "slurm_templates"


def _folders(project: Path) -> Iterator[Path]:
    """Where profiles are looked for, the first find wins: the project's, the user's, ours."""
    config = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    yield project / "slurm_templates"
    yield Path(config, "mrsweep").expanduser()
    yield shipped_templates()


def known_profiles(project: Path = Path()) -> dict[str, Path]:
    """Return name → file of every profile that can be named in a project, sorted by name."""
    found: dict[str, Path] = {}
    for folder in _folders(project):
        if folder.is_dir():
            for file in folder.iterdir():
                if file.name.endswith(SUFFIX) and file.is_file():
                    found.setdefault(file.name.removesuffix(SUFFIX), file)
    return dict(sorted(found.items()))


def load_profile(name: str, project: Path = Path()) -> Profile:
    """Read the profile `name`, a known name or the path of a file; the profile's own name and the project find it again from any folder.

    Raises ProfileError.
    """
    if "/" in name or name.endswith(SUFFIX):
        return _read(Path(name), str(Path(name).absolute()))
    known = known_profiles(project)
    if name in known:
        return _read(known[name], name)
    raise ProfileError(f"--profile {name[:60]!a}: there is no such profile. {did_you_mean(name, known)} A path may stand here too.")


def _read(file: Path, name: str) -> Profile:
    try:
        text = file.read_bytes().decode()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no text"
        raise ProfileError(f"--profile {str(file)[:200]!a}: cannot be read ({reason}). Give a name or the path of a text file.") from error
    return parse_profile(text, name=name, path=str(file))


def parse_profile(text: str, *, name: str, path: str) -> Profile:
    """Turn the text of a profile into its values. Raises ProfileError with file, line and the way out."""
    options: list[Option] = []
    constants: dict[str, object] = {}
    setup: list[str] = []
    for number, line in enumerate(text.removesuffix("\n").split("\n"), start=1):
        where = f"{path}:{number}"
        _refuse_control_characters(line, where)
        if line.startswith("#MRSWEEP"):
            constants.update(_constants(line, where))
        elif line.startswith("#SBATCH"):
            options += _options(line, where, number)
        elif line.strip() and not line.lstrip().startswith("#"):
            setup.append(line)
    profile = msgspec.convert(constants | {"name": name, "path": path}, Profile)
    _refuse_lines_nobody_reads(profile, options, setup)
    return msgspec.structs.replace(profile, options=tuple(options), setup=tuple(setup))


def _refuse_control_characters(line: str, where: str) -> None:
    odd = [character for character in line if not character.isprintable() and character != "\t"]
    if odd:
        raise ProfileError(f"{where}: the line holds the character {odd[0]!r}. Remove it; lines end with a plain newline.")


def _refuse_lines_nobody_reads(profile: Profile, options: list[Option], setup: list[str]) -> None:
    if profile.scheduler == "local" and options:
        raise ProfileError(f"{profile.path}:{options[0].line}: a local profile has no #SBATCH lines. Remove them or write scheduler=slurm.")
    if profile.scheduler == "local" and setup:
        raise ProfileError(f"{profile.path}: '{setup[0][:60]}' is for a script; local workers get the environment of launch. Remove it.")


def _constants(line: str, where: str) -> Iterator[tuple[str, object]]:
    for word in line.removeprefix("#MRSWEEP").split("#")[0].split():
        key, equals, value = word.partition("=")
        if not equals or not OPTION_VALUE.match(value):
            raise ProfileError(f"{where}: cannot read '{word}'. Write #MRSWEEP key=value, without blanks around the sign.")
        if key not in _CONSTANTS:
            raise ProfileError(f"{where}: nothing reads '{key}'. {did_you_mean(key, _CONSTANTS)}")
        if key == "visible_gpus":
            yield key, tuple(part for part in value.split(",") if part)
        else:
            yield key, _word(key, value, where) if key in _WORDS else _number(key, value, where)


def _word(key: str, value: str, where: str) -> str:
    known = _WORDS[key]
    if known and value not in known:
        raise ProfileError(f"{where}: {key} is '{value}', which is none of its words. {did_you_mean(value, known)}")
    return value


def _number(key: str, value: str, where: str) -> object:
    try:
        number = int(value) if key == "workers" else float(value)
    except ValueError:
        raise ProfileError(f"{where}: {key} is '{value}'; it must be a number.") from None
    if not 0 <= number < float("inf"):
        raise ProfileError(f"{where}: {key} is {value}; it must be a finite number, zero or more.")
    return number


def _options(line: str, where: str, number: int) -> Iterator[Option]:
    try:
        words = shlex.split(line.removeprefix("#SBATCH"), comments=True)
    except ValueError as error:
        raise ProfileError(f"{where}: cannot read the quotes of this line ({error}).") from error
    while words:
        word = words.pop(0)
        name, equals, value = _long_form(word, where)
        if not equals and words and not words[0].startswith("-") and name not in _BARE:
            value = words.pop(0)
        yield Option(name=checked_name(name, where), value=checked_value(name, value, where), line=number)


def _long_form(word: str, where: str) -> tuple[str, str, str]:
    """Split --key=value, --key, -k and -kvalue into long name, sign and value."""
    if word.startswith("--"):
        return word[2:].partition("=")
    short = _SHORT.get(word[1:2])
    if not word.startswith("-") or short is None:
        raise ProfileError(f"{where}: cannot read '{word[:60]}'. Write options in full: #SBATCH --partition=gpu")
    return short, word[2:3], word[2:].removeprefix("=")


def checked_name(name: str, where: str) -> str:
    """Return the long name of an sbatch option; raise ProfileError when it has characters that no option has."""
    if not OPTION_NAME.match(name):
        raise ProfileError(f"{where}: {name[:60]!a} is not the long name of an sbatch option, such as constraint.")
    return name


def checked_value(name: str, value: str, where: str) -> str:
    """Return the value of an sbatch option; raise ProfileError when a character could leave its line."""
    if not OPTION_VALUE.match(value):
        raise ProfileError(f"{where}: {name} is {value[:60]!a}; letters, digits and _ . : + , = @ % / & | * ( ) [ ] ! - may stand here.")
    return value
