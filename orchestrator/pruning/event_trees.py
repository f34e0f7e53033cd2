"""Clean trees of TensorBoard files of scripts that ran again into the same folder: the most complete run stays, the others move."""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import msgspec
import psutil
from filelock import FileLock, Timeout

from orchestrator.pruning.event_files import Content, read_event_file
from orchestrator.pruning.sessions import Session, Verdict, judge
from orchestrator.pruning.trash import Item, bring_back, finish, held, is_unsettled, read_batches, throw, written
from orchestrator.store.errors import Busy, StoreError
from orchestrator.store.files import opened_below, remove_below, remove_empty_below
from orchestrator.store.layout import TrashPaths, event_tree_trash

MARK = "tfevents"
"""What TensorBoard knows its files by."""
KIND = "event file"
QUIET_S = 3600.0
"""A file that a process of another host wrote is left alone until nothing has come for so long: an epoch may take its time."""
CLOCK_S = 2.0
"""The names of files hold whole seconds."""
LOCK_WAIT_S = 10.0

_NAME = re.compile(r"events\.out\.tfevents\.(\d+)\.(.+)\.(\d+)\.(\d+)(?:\.[^.]*[^.\d][^.]*)*\Z", re.DOTALL)

Read = Callable[[Path], Content]


class EventFile(msgspec.Struct, frozen=True, kw_only=True):
    """An event file as its folder shows it."""

    place: str
    """Relative to the tree."""
    size: int
    changed_at: float

    @property
    def name(self) -> str:
        return PurePosixPath(self.place).name

    @property
    def folder(self) -> str:
        return str(PurePosixPath(self.place).parent)

    @property
    def writer(self) -> tuple[str, int] | None:
        """Host and process that wrote it, from its name; older libraries do not name the process."""
        match = _NAME.match(self.name)
        return (match[2], int(match[3])) if match else None

    @property
    def turn(self) -> tuple[int, int]:
        """When it was opened [s since 1970], and which of its process's files it is."""
        match = _NAME.match(self.name)
        return (int(match[1]), int(match[4])) if match else (0, 0)


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """A file that is to go."""

    file: EventFile
    top: str
    """The folder that it was decided for, together with its sub-folders."""
    why: str
    stays: tuple[EventFile, ...]
    """Files of its folder that stay."""


class TreePlan(msgspec.Struct, frozen=True, kw_only=True):
    """What cleaning a tree would do."""

    folders: int = 0
    """Folders with event files."""
    moves: tuple[Move, ...] = ()
    kept: tuple[str, ...] = ()
    """Why files stay that lie beside others, and what could not be looked at."""
    contents: dict[str, Content] = {}
    """Path → what was read of a file that lies beside others."""

    @property
    def bytes(self) -> int:
        return sum(move.file.size for move in self.moves)


def plan_tree(root: Path, *, by_size: bool = False, now: float | None = None, read: Read = read_event_file) -> TreePlan:
    """Find the files of runs that were superseded; reads only. `by_size`: of each folder the largest file stays, whatever it holds."""
    check_tree(root)
    now = time.time() if now is None else now
    kept: list[str] = []
    folders = find_files(root, kept)
    live = _Liveness(now)
    moves: list[Move] = []
    contents: dict[str, Content] = {}
    for family in families(folders):
        if all(len(folders[folder]) < 2 for folder in family):
            continue
        if by_size:
            for folder in family:
                moves += _smaller(folders[folder], live, kept)
            continue
        try:
            sessions = _sessions([folders[folder] for folder in family], root, live, read)
        except OSError as error:
            kept.append(f"{family[0]}: {error.filename}: {error.strerror}; nothing there is moved")
            continue
        for session in sessions:
            contents |= session.contents
        verdict = judge(sessions)
        kept += [f"{family[0]}: {sentence}" for sentence in verdict.kept]
        moves += _moves(family[0], sessions, verdict, folders)
    return TreePlan(folders=len(folders), moves=tuple(moves), kept=tuple(kept), contents=contents)


def check_tree(root: Path) -> None:
    """Raise StoreError for what is no folder of files, or a link to one."""
    if root.is_symlink():
        raise StoreError(f"{root}: is a symbolic link. Name the folder that it points to.")
    if not root.is_dir():
        raise StoreError(f"{root}: is not a folder. Name the one that TensorBoard is given as --logdir.")


def find_files(root: Path, kept: list[str]) -> dict[str, list[EventFile]]:
    """Return folder → its event files, outer folders first. Links are not followed, and what belongs to others is told and left."""
    found: dict[str, list[EventFile]] = {}
    waiting = [os.fspath(root)]  # a list: os.fwalk calls itself, and a tree may be a thousand folders deep
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                listed = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            kept.append(f"{error.filename}: {error.strerror}")
            continue
        waiting += [entry.path for entry in listed if entry.is_dir(follow_symlinks=False)]
        files = (_event_file(entry, root, kept) for entry in listed if MARK in entry.name)
        for file in filter(None, files):
            found.setdefault(str(PurePosixPath(file.place).parent), []).append(file)
    return dict(sorted(found.items(), key=lambda pair: (len(PurePosixPath(pair[0]).parts), pair[0])))


def _event_file(entry: os.DirEntry[str], root: Path, kept: list[str]) -> EventFile | None:
    """Return an event file of ours; None for what is none, has gone meanwhile, or belongs to somebody else, which is told."""
    place = PurePosixPath(entry.path).relative_to(root)
    try:
        status = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    if status.st_uid != os.getuid():
        kept.append(f"{place}: belongs to user {status.st_uid} and is left alone")
        return None
    return EventFile(place=str(place), size=status.st_size, changed_at=status.st_mtime)


def families(folders: Mapping[str, Sequence[EventFile]]) -> list[list[str]]:
    """Divide folders into families: a top folder, and the sub-folders whose every file was written by a process of a file at the top.

    `add_scalars` makes a sub-folder a series; what happens to the run happens to all of them.
    """
    family_of: dict[str, list[str]] = {}
    for folder, files in folders.items():
        above = next((str(parent) for parent in PurePosixPath(folder).parents if str(parent) in family_of), None)
        family = family_of[above] if above is not None else []
        if family and all(_opener(file, folders[family[0]]) for file in files):
            family.append(folder)
            family_of[folder] = family
        else:
            family_of[folder] = [folder]
    return list({id(family): family for family in family_of.values()}.values())


def _opener(file: EventFile, top: Iterable[EventFile]) -> EventFile | None:
    """Return the file of the top folder whose writer opened this one: of the same process, the last one opened before it."""
    before = [one for one in top if one.writer is not None and one.writer == file.writer and one.turn <= file.turn]
    return max(before, key=lambda one: one.turn, default=None)


def _sessions(family: Sequence[Sequence[EventFile]], root: Path, live: _Liveness, read: Read) -> list[Session]:
    """Return what each file of the top folder stands for, with what belongs to it in the sub-folders."""
    top, *below = family
    mine: dict[str, list[EventFile]] = {file.place: [file] for file in top}
    for file in (file for files in below for file in files):
        opener = _opener(file, top)
        if opener is not None:
            mine[opener.place].append(file)
    return [
        Session(
            name=PurePosixPath(place).name,
            contents={file.place: read(root / file.place) for file in files},
            is_live=any(live(file) for file in files),
        )
        for place, files in mine.items()
    ]


def _moves(top: str, sessions: Sequence[Session], verdict: Verdict, folders: Mapping[str, Sequence[EventFile]]) -> list[Move]:
    """Return the files of superseded sessions, of each folder only what leaves another file behind."""
    gone = {path: verdict.moved[session.name] for session in sessions if session.name in verdict.moved for path in session.contents}
    moves = []
    for folder in sorted({str(PurePosixPath(path).parent) for path in gone}):
        stays = tuple(file for file in folders[folder] if file.place not in gone)
        if stays:
            moves += [Move(file=file, top=top, why=gone[file.place], stays=stays) for file in folders[folder] if file.place in gone]
    return moves


def _smaller(files: Sequence[EventFile], live: _Liveness, kept: list[str]) -> list[Move]:
    """Return all files of a folder but the largest; of equal ones the newest stays."""
    if len(files) < 2:
        return []
    writing = next((file for file in files if live(file)), None)
    if writing is not None:
        kept.append(f"{writing.folder}: {writing.name} may still be written to: nothing beside it is moved")
        return []
    largest = max(files, key=lambda file: (file.size, file.turn, file.changed_at, file.name))
    why = f"{largest.name} is larger, or as large and newer"
    return [Move(file=file, top=file.folder, why=why, stays=(largest,)) for file in files if file is not largest]


class _Liveness:
    """Says whether somebody may still write to a file: its process lives on this host, or it grew lately on another one."""

    def __init__(self, now: float) -> None:
        self._now = now
        self._host = os.uname().nodename

    def __call__(self, file: EventFile) -> bool:
        writer = file.writer
        if writer is None or writer[0] != self._host:
            return abs(self._now - file.changed_at) < QUIET_S
        try:
            began_at: float = psutil.Process(writer[1]).create_time()
        except psutil.Error:
            return False
        return writer[1] != os.getpid() and began_at <= file.turn[0] + CLOCK_S  # else the number is another process's now


def clean_tree(root: Path, plan: TreePlan, *, by: str, at: float) -> tuple[list[Item], list[str]]:
    """Move what was planned, as far as it still holds; returns what was moved, and a sentence for each file that was left."""
    paths = event_tree_trash(root.absolute())
    with _alone(paths):
        refused = finish(paths, {written(PurePosixPath(move.file.place)) for move in plan.moves}) if is_unsettled(paths) else []
        holds = [move for move in plan.moves if _still_holds(root, move)]
        refused += [
            f"{move.file.place}: has changed meanwhile, or what stays beside it has; it is left" for move in plan.moves if move not in holds
        ]
        items = [Item(path=written(PurePosixPath(move.file.place)), kind=KIND, why=move.why, bytes=move.file.size) for move in holds]
        moved, left = throw(paths, items, by=by, at=at)
    return moved, refused + left


def _still_holds(root: Path, move: Move) -> bool:
    """Say whether a file and one that stays beside it are as they were when that was decided."""
    return _is_unchanged(root, move.file) and any(_is_unchanged(root, file) for file in move.stays)


def _is_unchanged(root: Path, file: EventFile) -> bool:
    try:
        status = (root / file.place).lstat()
    except OSError:
        return False
    return (status.st_size, status.st_mtime) == (file.size, file.changed_at)


def cleaned(root: Path) -> list[Item]:
    """Return what was moved away from a tree, the newest first."""
    check_tree(root)
    return [item for _, _, item in held(event_tree_trash(root.absolute()))]


def restore_tree(root: Path, items: Sequence[Item]) -> tuple[list[Item], list[str]]:
    """Move files back to where they were; returns what came back, and a sentence for each that did not."""
    paths = event_tree_trash(root.absolute())
    with _alone(paths):
        refused = finish(paths, ()) if is_unsettled(paths) else []
        back, left = bring_back(paths, items)
        if not read_batches(paths):
            remove_below(paths.root, PurePosixPath(paths.lock.relative_to(paths.root)))
            remove_empty_below(paths.root, PurePosixPath(paths.dir.name))
    return back, refused + left


@contextmanager
def _alone(paths: TrashPaths) -> Iterator[None]:
    """Keep other cleaners of this tree away meanwhile."""
    with opened_below(paths.root, PurePosixPath(paths.dir.name), make=True):
        pass
    try:
        with FileLock(str(paths.lock), timeout=LOCK_WAIT_S):
            yield
    except Timeout:
        raise Busy(f"{paths.root}: another mrsweep cleans this folder. Wait until it is done.") from None
