"""A grid as it lies on disk: what is missing there is told, and what others computed is seen."""

from __future__ import annotations

import pytest

from orchestrator.launch.adopt import find_adoptable
from orchestrator.store.errors import StoreError
from orchestrator.store.layout import GridPaths
from tests.watchdog.study import Study


@pytest.mark.parametrize("lines", [0, 1])
def test_manifests_that_were_cut_off_are_told_and_no_run_is_left_out_in_silence(study: Study, lines: int) -> None:
    study.launch(1, 2)
    content = study.paths.manifest.read_bytes().splitlines(keepends=True)
    study.paths.manifest.write_bytes(b"".join(content[:lines]))
    with pytest.raises(StoreError, match=rf"manifest\.jsonl: lacks {2 - lines} of 2 runs .* Restore it from a backup"):
        study.watch()


def test_run_that_completed_unwatched_is_adopted(study: Study) -> None:
    study.launch(1, 2)
    study.start(1, 2)
    study.finish(1)
    ids = [study.manifest(seed).id for seed in (1, 2)]
    found = find_adoptable(GridPaths(study.paths.dir.parent / "other"), ids, now=1.0)
    assert [(adoption.run, adoption.grid) for adoption in found] == [(ids[0], "g")]
