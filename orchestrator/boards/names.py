"""Under which names TensorBoard shows the runs of a grid: the varying keys, made safe for a file name, and the id (pure)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from orchestrator.grid.manifest import Manifest
from orchestrator.grid.where import quoted

MOST_CHARACTERS = 120
"""Of a name, its id included: a file name may have 255 bytes, and a list of names has to be read."""
SHORT_ID = 8

_UNSAFE = re.compile(r"[^A-Za-z0-9=._+@-]+")


def board_names(manifests: Iterable[Manifest]) -> dict[str, str]:
    """Return run id → folder name, such as `blocks=IIV,seed=1-3fa9c2d1`; no two are alike, on a disk that ignores case neither."""
    manifests = list(manifests)
    length = id_length([manifest.id for manifest in manifests])
    return {manifest.id: board_name(manifest, length) for manifest in manifests}


def id_length(ids: Sequence[str]) -> int:
    """Return how many digits tell the ids apart, at least eight."""
    lengths = range(SHORT_ID, 16)
    return next((length for length in lengths if len({run_id[:length] for run_id in ids}) == len(set(ids))), 16)


def board_name(manifest: Manifest, length: int = SHORT_ID) -> str:
    """Return the folder name of one run; what has no room is cut off, and the id stays."""
    label = ",".join(f"{safe(word)}={safe(_text(value))}" for word, value in zip(_words(manifest), manifest.varying.values(), strict=True))
    room = MOST_CHARACTERS - length - 1
    cut = label if len(label) <= room else label[: room - 1] + "~"
    return f"{cut.lstrip('.-') or 'run'}-{manifest.id[:length]}"


def safe(text: str) -> str:
    """Return text as a part of a file name, of letters and digits that every shell, browser and file system takes as they are."""
    return _UNSAFE.sub("_", text)


def _text(value: object) -> str:
    return value if isinstance(value, str) else quoted(value)


def _words(manifest: Manifest) -> list[str]:
    """Return the last word of each varying key, or all of it where another one ends alike."""
    last = Counter(key.rpartition(".")[2] for key in manifest.varying)
    return [word if last[word := key.rpartition(".")[2]] == 1 else key for key in manifest.varying]
