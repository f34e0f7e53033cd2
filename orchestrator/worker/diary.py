"""A worker's journal that survives a full disk: what could not be written is kept and written later, in order."""

from __future__ import annotations

import logging
from pathlib import Path

from orchestrator.store.events import JournalLine
from orchestrator.store.files import Journal, make_dir

LOG = logging.getLogger(__name__)


class Diary:
    """The journal of one worker."""

    def __init__(self, path: Path) -> None:
        make_dir(path.parent)
        self._path = path
        self._journal: Journal | None = None
        self._waiting: list[JournalLine] = []

    def write(self, line: JournalLine, *, durable: bool = True) -> None:
        """Add a line; on return it is on disk, unless the disk refuses it for now."""
        self._waiting.append(line)
        self.catch_up(durable=durable)

    def catch_up(self, *, durable: bool = True) -> bool:
        """Write what waits; say whether all is written."""
        if not self._waiting:
            return True
        try:
            if self._journal is None:
                self._journal = Journal(self._path)  # closes the torn line that a failed write left
            self._journal.append(*self._waiting, durable=durable)
        except OSError as error:
            LOG.warning("%s: cannot be written now (%s); %d lines wait", self._path, error.strerror, len(self._waiting))
            self.close()
            return False
        self._waiting.clear()
        return True

    def close(self) -> None:
        """Close the file; what waits is kept."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None
