"""Files that a verb writes where the user says: tables, figures, pages."""

from __future__ import annotations

from pathlib import Path

from orchestrator.store.errors import InputError
from orchestrator.store.files import write_atomic


def check_folder(output: Path) -> None:
    """Refuse a file that has no folder to lie in, before any work is done."""
    if not output.parent.is_dir():
        raise InputError(f"-o {output}: there is no folder {output.parent}. Make it, or write elsewhere.")


def write_output(output: Path, content: bytes, *, own: bool = False) -> None:
    """Write a file whole, as the user's other files are; `own`: a derived one in a grid's folder, for its owner alone."""
    try:
        write_atomic(output, content, durable=not own, mode=0o600 if own else 0o666)
    except OSError as error:
        way = "Choose another place with -o FILE" if own else "Write elsewhere"
        raise InputError(f"{'' if own else '-o '}{output}: cannot be written ({error.strerror}). {way}.") from error
