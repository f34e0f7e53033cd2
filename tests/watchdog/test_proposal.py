"""Two launches at once: what the second one knew before it had the pen is looked at again."""

from __future__ import annotations

from orchestrator.grid.spec import read_spec
from orchestrator.launch.apply import make_draft
from orchestrator.store.events import Applied
from orchestrator.store.ledger import read_events
from orchestrator.watchdog.proposal import expand_only


def test_two_edits_that_are_applied_at_the_same_time_become_two_versions(tmp_path):
    (tmp_path / "study.py").write_text("def train(config, run): ...\n")
    drafts = []
    for seeds in ("[1, 2]", "[2, 3]"):
        file = tmp_path / f"{seeds[1]}.yaml"
        file.write_text(f"name: g\nentry: study:train\ngrid: {{seed: {seeds}}}\n")
        drafts.append(make_draft(read_spec(file), tmp_path / "runs", project=tmp_path))
    for draft in (*drafts, drafts[1]):
        expand_only(draft)
    paths = drafts[0].paths
    assert paths.applied_versions() == [1, 2]
    assert ["[1, 2]" in paths.applied(version).read_text() for version in (1, 2)] == [True, False]
    applied = [event for event in read_events(paths) if isinstance(event, Applied)]
    assert [(event.version, event.added, len(event.orphans)) for event in applied] == [(1, 2, 0), (2, 1, 1)]
