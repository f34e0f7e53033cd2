"""docs/messages.md tells what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from orchestrator.grid.notify_shape import KINDS, Notify
from orchestrator.grid.spec import read_spec
from orchestrator.messages.addresses import parse_targets
from orchestrator.messages.delivery import LIMIT_S, WITH_TABLE
from orchestrator.messages.news import MOST_EACH, MOST_SINGLE
from orchestrator.messages.outbox import LASTING_S, MOST_TRIES, RETRY_S
from orchestrator.messages.words import BEST

PAGE = (Path(__file__).parents[2] / "docs" / "messages.md").read_text()


def test_every_example_of_a_grid_file_is_read(tmp_path: Path) -> None:
    examples = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    for example in examples:
        file = tmp_path / "g.yaml"
        file.write_text(f"name: g\nentry: m:f\n{example.strip()}\n")
        assert read_spec(file).notify is not None
    assert len(examples) == 2


def test_the_example_of_addresses_is_read() -> None:
    block = re.search(r"# NAME  ADDRESS\n(.*?)```", PAGE, re.DOTALL)
    assert block is not None
    assert [target.name for target in parse_targets(block[1].split(), "page")] == ["lab", "phone", "chat", "hook"]


def test_every_kind_and_number_is_the_one_of_the_code() -> None:
    assert set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)) == {*KINDS, "on", "every_min", "to"}
    waits = [f"{RETRY_S * 2**number / 60:.0f}" for number in range(MOST_TRIES - 1)]
    assert f"after {', '.join(waits[:-1])} and {waits[-1]} minutes, and given up after six tries or two hours" in PAGE
    assert (MOST_TRIES, LASTING_S, WITH_TABLE, BEST, Notify().every_min) == (6, 7200, 2, 5, 30)
    assert f"after {LIMIT_S:.0f} seconds" in PAGE
    assert f"more than {MOST_SINGLE} runs" in PAGE and f"more than {MOST_EACH} runs" in PAGE
