"""The files that a conversion makes of its sources: the first bad one ends it all, unless it was asked to be skipped."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from data.errors import BadInput
from data.processes import as_they_end


@dataclass(frozen=True, kw_only=True)
class Job:
    """One file to be made, or to be amended where both are the same."""

    source: Path
    target: Path


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One job that is over."""

    job: Job
    kept: bool = False
    """True: the file was there already."""
    skipped: str = ""
    """Why the source was left out; empty when it was not."""


Work = Callable[[Job], bool]
"""Makes the file of a job, or raises BadInput; True: it was there already."""


def find_jobs(sources: Sequence[Path], out: Path | None, *, endings: Sequence[str]) -> list[Job]:
    """Pair sources with their targets. sources: files, or folders that are searched with all below them.

    A file of a folder keeps its place below it, so that train/, val/ and test/ stay apart. out: None where files are amended.
    Raises BadInput when nothing is found, or when two sources would become one file.
    """
    found: dict[Path, Path] = {}
    for given in sources:
        for source in _files(given, endings):
            below = source.relative_to(given).parent if given.is_dir() else Path()
            target = source if out is None else out / below / f"{stem(source, endings)}.h5"
            if found.setdefault(target, source) != source:
                raise BadInput(f"{found[target]} and {source} would both become {target}. Rename one, or convert them apart.")
    return [Job(source=source, target=target) for target, source in sorted(found.items())]


def _files(given: Path, endings: Sequence[str]) -> list[Path]:
    if not given.is_dir():
        if not given.is_file():
            raise BadInput(f"{given}: there is no such file or folder. Check the path.")
        return [given]
    files = sorted(path for path in given.rglob("*") if path.name.endswith(tuple(endings)) and not path.name.startswith("."))
    if not files:
        raise BadInput(f"{given}: holds no file that ends with {' or '.join(endings)}. Check the path, or name the files.")
    return files


def stem(path: Path, endings: Sequence[str]) -> str:
    """Return the name of a file without its ending, of two parts where such a one is known: a.nii.gz is a."""
    ending = next((ending for ending in sorted(endings, key=len, reverse=True) if path.name.endswith(ending)), path.suffix)
    return path.name.removesuffix(ending)


def run_jobs(jobs: Sequence[Job], work: Work, *, workers: int, skip_bad: bool = False) -> Iterator[Outcome]:
    """Do the jobs, `workers` at a time, and yield each when it is over, in the order in which they end.

    Raises the first BadInput after what was begun has ended; with `skip_bad` the file is left out, and its outcome says why.
    """
    return as_they_end(partial(_attempt, work=work, skip_bad=skip_bad), jobs, workers=workers)


def _attempt(job: Job, *, work: Work, skip_bad: bool) -> Outcome:
    try:
        return Outcome(job=job, kept=work(job))
    except BadInput as error:
        if not skip_bad:
            raise
        return Outcome(job=job, skipped=str(error))
