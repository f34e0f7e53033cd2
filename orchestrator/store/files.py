"""The only module that writes, renames and creates files: atomic, durable, and the seam for fault injection."""

from __future__ import annotations

import os
import stat
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePath
from typing import TypeVar

import msgspec

from orchestrator.store.errors import StoreError

T = TypeVar("T")

READ_BYTES = 1 << 16
"""What one system call reads."""


def check_point(operation: str, path: Path | str) -> None:
    """Called before each operation that changes the disk; tests replace it to inject faults."""


def fsync_dir(path: Path) -> None:
    """Make renames and creations inside `path` durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_dir(path: Path | str) -> None:
    """Create a folder and its parents, private to the user; an existing one is left as it is."""
    try:
        try:
            os.mkdir(path, 0o700)
        except FileNotFoundError:
            make_dir(os.path.dirname(path) or ".")  # makedirs would give the parents what the umask leaves
            os.mkdir(path, 0o700)
    except OSError as error:
        if os.path.isdir(path):
            return
        raise StoreError(f"{path}: cannot create this folder ({error.strerror}). Choose another with --runs DIR.") from error


def write_atomic(path: Path, content: bytes, *, durable: bool = True, mode: int = 0o600) -> None:
    """Replace `path` as a whole: write aside, flush, fsync, rename, fsync the folder.

    `durable=False` leaves out both fsyncs, for derived files that can be rebuilt. `mode`, less the umask, is the file's:
    private, save for what is written for the user's own folders.
    A failed fsync is never repeated on the same file: the pages may be gone (PostgreSQL's lesson of 2018).
    """
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        write_new(aside, content, durable=durable, mode=mode)
        check_point("rename", path)
        os.replace(aside, path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    if durable:
        fsync_dir(path.parent)


def write_new(path: Path, content: bytes, *, durable: bool = True, mode: int = 0o600) -> None:
    """Write a file that must not be there yet, and flush it; the caller makes its name durable with `fsync_dir`."""
    check_point("write", path)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
        stream.flush()
        if durable:
            check_point("fsync", path)
            os.fsync(stream.fileno())


def remove_file(path: Path) -> None:
    """Remove a file, if it is there."""
    check_point("unlink", path)
    path.unlink(missing_ok=True)


def write_plain(path: Path | str, content: bytes) -> None:
    """Write a derived file in one go; a reader that finds it torn rebuilds it."""
    check_point("write", path)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    finally:
        os.close(descriptor)


def create_exclusive(path: Path, content: bytes) -> bool:
    """Create `path` with `content` in one step; say False when somebody else has.

    The content is complete from the first moment: it is written aside and linked into place. Whatever link
    answered, the owner is who the file names: over NFS the call may report failure though it happened.
    """
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    write_new(aside, content)
    try:
        check_point("link", path)
        os.link(aside, path)
    except OSError:
        if not path.exists():
            raise
    finally:
        ours = aside.stat().st_nlink == 2
        aside.unlink()
    fsync_dir(path.parent)
    return ours


class Journal:
    """An append-only file of JSON lines with one writer.

    A torn tail, left by a writer that died in mid-line, is closed with a newline before the first append.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stream = open(path, "ab", buffering=0)  # noqa: SIM115 - it lives as long as the journal
        size = self._stream.tell()
        if size and _last_byte(path) != b"\n":
            self._stream.write(b"\n")

    def append(self, *values: object, durable: bool = True) -> None:
        """Add one line a value, all in one write; on return they are on disk, unless `durable` is False."""
        if not values:
            return
        check_point("write", self.path)
        rest = memoryview(b"".join(msgspec.json.encode(value) + b"\n" for value in values))
        while rest:  # a disk that fills takes a part, and says so only when it is asked for the rest
            rest = rest[self._stream.write(rest) :]
        if durable:
            check_point("fsync", self.path)
            os.fsync(self._stream.fileno())

    def close(self) -> None:
        self._stream.close()


def _last_byte(path: Path) -> bytes:
    with open(path, "rb") as stream:
        stream.seek(-1, os.SEEK_END)
        return stream.read(1)


def read_whole(path: Path | str) -> bytes:
    """Return the content of a file. Of a small one it costs half of what `Path.read_bytes` does: no buffer, and no look at the size."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = []
        while part := os.read(descriptor, READ_BYTES):
            parts.append(part)
    finally:
        os.close(descriptor)
    return b"".join(parts)


def read_lines(path: Path | str, decode: Callable[[bytes], T]) -> Iterator[T]:
    """Yield each decoded line of a journal; a missing file has no lines. Torn and damaged lines: see `parse_lines`."""
    try:
        content = read_whole(path)
    except (FileNotFoundError, NotADirectoryError):
        return
    yield from parse_lines(content, decode, path)


def parse_lines(content: bytes, decode: Callable[[bytes], T], path: Path | str) -> Iterator[T]:
    """Yield each decoded line of what was read from `path`.

    A last line that is torn is passed over; a damaged line further up raises StoreError with file and line.
    Lines left empty by the repair of a torn tail are passed over, and so is the fragment before them.
    """
    lines = content.split(b"\n")
    for number, line in enumerate(lines, start=1):
        if not line.strip(b"\0 "):
            continue
        try:
            yield decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            if number >= len(lines) - 1 or _is_torn(line, error):
                continue
            raise StoreError(
                f"{path}:{number}: this line is damaged ({error}). Restore the file from a backup, or remove the line."
            ) from error


def _is_torn(line: bytes, error: Exception) -> bool:
    """A line cut off in the middle: it begins like a record, and its end is missing (msgspec's own word for that)."""
    return line.startswith(b"{") and (not line.endswith(b"}") or "truncated" in str(error))


def read_json(path: Path, kind: type[T]) -> T | None:
    """Decode a small JSON file; None when it is missing, empty or torn (it is then not there yet)."""
    try:
        return msgspec.json.decode(read_whole(path), type=kind)
    except (FileNotFoundError, NotADirectoryError, msgspec.DecodeError):
        return None


def publish_dir(source: Path, target: Path) -> None:
    """Give a prepared folder its name; OSError when `target` exists, and over NFS also when the rename happened."""
    check_point("rename", target)
    os.rename(source, target)
    fsync_dir(target.parent)


@contextmanager
def opened_below(root: Path, folder: PurePath, *, make: bool = False) -> Iterator[int]:
    """Open a folder by its path relative to `root`, step by step and following no symbolic link; yields its descriptor.

    Raises StoreError where a step is a link or no folder, or leads out of `root`; OSError where it is not there and `make` is False.
    """
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    place, descriptor = root, os.open(root, flags)
    try:
        for name in inner_parts(folder):
            place = place / name
            refuse_link(place)
            try:
                inner = os.open(name, flags, dir_fd=descriptor)
            except FileNotFoundError:
                if not make:
                    raise
                check_point("mkdir", place)
                os.mkdir(name, 0o700, dir_fd=descriptor)
                os.fsync(descriptor)
                inner = os.open(name, flags, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = inner
        yield descriptor
    finally:
        os.close(descriptor)


def inner_parts(path: PurePath) -> tuple[str, ...]:
    """Return the parts of a relative path; raise StoreError for one that is absolute or goes up."""
    if path.is_absolute() or ".." in path.parts:
        raise StoreError(f"{path}: leads out of its folder and is left alone.")
    return path.parts


def refuse_link(path: Path) -> None:
    """Raise StoreError when `path` is a symbolic link."""
    if path.is_symlink():
        raise StoreError(f"{path}: is a symbolic link and is left alone. Move what it points to by hand.")


def move_below(root: Path, source: PurePath, target: PurePath, *, make: bool = True) -> None:
    """Move a file or folder of ours from one place below `root` to another; both are relative, and no link is followed.

    Missing folders of the target are made, unless `make` is False. Raises StoreError for a link, for what belongs to
    somebody else, and where the target exists; OSError where the filesystem refuses.
    """
    with opened_below(root, source.parent) as origin, opened_below(root, target.parent, make=make) as destination:
        status = os.stat(source.name, dir_fd=origin, follow_symlinks=False)
        if stat.S_ISLNK(status.st_mode):
            refuse_link(root / source)
        if status.st_uid != os.getuid():
            raise StoreError(f"{root / source}: belongs to user {status.st_uid} and is left alone.")
        if _is_there(destination, target.name):
            raise StoreError(f"{root / target}: exists already; move it away first.")
        check_point("rename", root / target)
        os.rename(source.name, target.name, src_dir_fd=origin, dst_dir_fd=destination)
        os.fsync(destination)
        os.fsync(origin)


def _is_there(folder: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def remove_below(root: Path, path: PurePath) -> list[str]:
    """Delete a file or a whole folder below `root`, links themselves and never what they point to.

    Returns a sentence for each thing that was left: what belongs to somebody else, and what the filesystem holds on to
    (.nfs files, a folder that is not empty). Nothing of that is fatal: it can be tried again later.
    """
    left: list[str] = []
    try:
        with opened_below(root, path.parent) as folder:
            _remove(folder, path.name, root / path, left)
    except FileNotFoundError:
        return left
    except OSError as error:
        left.append(f"{root / path}: {error.strerror}")
    return left


def _remove(folder: int, name: str, path: Path, left: list[str]) -> None:
    before = len(left)
    try:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if status.st_uid != os.getuid():
            left.append(f"{path}: belongs to user {status.st_uid} and is left alone")
            return
        is_folder = stat.S_ISDIR(status.st_mode)
        if is_folder:
            _remove_content(folder, name, path, left)
        if len(left) == before:
            check_point("rmdir" if is_folder else "unlink", path)
            (os.rmdir if is_folder else os.unlink)(name, dir_fd=folder)
    except FileNotFoundError:
        return  # somebody else was faster
    except (OSError, RecursionError) as error:
        left.append(f"{path}: {error.strerror if isinstance(error, OSError) else 'lies too deep'}")


def _remove_content(folder: int, name: str, path: Path, left: list[str]) -> None:
    inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        for each in os.listdir(inner):
            _remove(inner, each, path / each, left)
    finally:
        os.close(inner)


def remove_empty_below(root: Path, path: PurePath) -> None:
    """Remove a folder below `root` and the folders in it, as far as they are empty; files, links and all else stay."""
    try:
        with opened_below(root, path) as top:
            for place, folders, _, descriptor in os.fwalk(".", topdown=False, dir_fd=top):
                for name in folders:
                    _remove_empty(descriptor, name, root / path / place / name)
        with opened_below(root, path.parent) as folder:
            _remove_empty(folder, path.name, root / path)
    except FileNotFoundError:
        return


def _remove_empty(folder: int, name: str, path: Path) -> None:
    check_point("rmdir", path)
    with suppress(OSError):
        os.rmdir(name, dir_fd=folder)
