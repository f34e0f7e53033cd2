"""TensorBoard on the folder: what its server answers, and that it ends."""

from __future__ import annotations

import json
import socket
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from orchestrator.boards.serve import HOST, choose_port, command_of, is_free, serving, view_of
from orchestrator.store.errors import ClusterError, InputError
from orchestrator.store.states import State
from tests.boards.conftest import Study

pytestmark = pytest.mark.journey
PATIENCE_S = 120.0
"""TensorBoard reads its folder by itself and says to nobody when it has; only one that never does takes so long."""
RUNS = ["blocks=II_V,seed=1-01ababab", "blocks=VVV,seed=1-02ababab", "blocks=VVV,seed=2-03ababab"]


def port_of_its_own() -> int:
    """Return a port that no other test takes meanwhile, as the first free one from 6006 might be."""
    with socket.socket() as attempt:
        attempt.bind((HOST, 0))
        return int(attempt.getsockname()[1])


class Server:
    """A running TensorBoard."""

    def __init__(self, port: int) -> None:
        self.root = f"http://{HOST}:{port}/"

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """Return what it answers."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.root + path, data=data, headers={"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            return json.loads(answer.read())


@pytest.fixture
def resumed(study: Study) -> Study:
    """A resumed run, a run of lines only, and one that failed."""
    run = study.run(blocks="II/V", seed=1, attempts=2, metrics={"test/ssim": 0.5})
    study.events(run, range(6))
    study.events(run, range(4, 9), number=2)
    study.lines(study.run(blocks="VVV", seed=1, metrics={"test/ssim": 0.75}), {"step": 1, "loss": 0.5}, {"step": 2, "loss": 0.25})
    study.run(blocks="VVV", seed=2, state=State.FAILED)
    study.build()
    return study


@pytest.fixture(params=["true", "false"], ids=["rust reader", "python reader"])
def server(request: pytest.FixtureRequest, resumed: Study, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    def with_reader(folder: Path, port: int, title: str) -> list[str]:
        return [*command_of(folder, port, title), f"--load_fast={request.param}"]

    monkeypatch.setattr("orchestrator.boards.serve.command_of", with_reader)
    port = port_of_its_own()
    with serving(resumed.paths.boards, port, "g"):
        server = Server(port)
        wait_for(lambda: server.ask("data/runs"), RUNS)
        yield server


def wait_for(look: Callable[[], list[str]], wanted: list[str]) -> None:
    """Wait until the server has read just these runs; one that shows another run, which would never go away, is told at once."""
    deadline = time.monotonic() + PATIENCE_S
    while sorted(found := look()) != wanted:
        assert set(found) <= set(wanted), f"shows {found}"
        assert time.monotonic() < deadline, f"shows no more than {found}"
        time.sleep(0.05)


def test_both_readers_show_each_run_once_without_what_was_superseded(server: Server) -> None:
    tags = server.ask("data/plugin/scalars/tags")
    assert {run: sorted(found) for run, found in tags.items()} == {
        "blocks=II_V,seed=1-01ababab": ["final/test/ssim", "loss"],
        "blocks=VVV,seed=1-02ababab": ["final/test/ssim", "loss"],
    }
    points = server.ask("data/plugin/scalars/scalars?tag=loss&run=blocks=II_V,seed=1-01ababab")
    assert [step for _, step, _ in points] == list(range(9))
    assert [round(value - step, 1) for _, step, value in points] == [0.1] * 4 + [0.2] * 5


def test_hparams_page_lists_keys_states_and_final_metrics(server: Server) -> None:
    experiment = server.ask("data/plugin/hparams/experiment", {"experimentName": ""})
    assert {info["name"]: info["type"] for info in experiment["hparamInfos"]} == {"blocks": "DATA_TYPE_STRING", "seed": "DATA_TYPE_FLOAT64"}
    columns = {"colParams": [{"hparam": name} for name in ("blocks", "seed")], "sliceSize": 10, "startIndex": 0}
    statuses = ["STATUS_UNKNOWN", "STATUS_SUCCESS", "STATUS_FAILURE", "STATUS_RUNNING"]
    answer = server.ask("data/plugin/hparams/session_groups", {"experimentName": "", "allowedStatuses": statuses, **columns})
    groups = {group["name"]: group for group in answer["sessionGroups"]}
    told = {name: (group["hparams"]["blocks"], group["hparams"]["seed"], group["sessions"][0]["status"]) for name, group in groups.items()}
    assert told == {
        "blocks=II_V,seed=1-01ababab": ("II/V", 1.0, "STATUS_SUCCESS"),
        "blocks=VVV,seed=1-02ababab": ("VVV", 1.0, "STATUS_SUCCESS"),
        "blocks=VVV,seed=2-03ababab": ("VVV", 2.0, "STATUS_FAILURE"),
    }
    values = {value["name"]["tag"]: value["value"] for value in groups["blocks=VVV,seed=1-02ababab"]["metricValues"]}
    assert values == {"final/test/ssim": 0.75, "loss": 0.25}


def test_tensorboard_listens_on_this_machine_alone_and_ends_with_the_block(resumed: Study) -> None:
    port = port_of_its_own()
    with serving(resumed.paths.boards, port, "g") as process:
        tree = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        listening = {at.laddr for one in tree for at in one.net_connections("inet") if at.status == psutil.CONN_LISTEN}
        assert {address.ip for address in listening} == {HOST}
    assert is_free(port)
    assert not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in tree)


def test_folder_named_tensorboard_in_the_working_folder_is_not_imported(resumed: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    (resumed.paths.dir / "tensorboard.py").write_text("raise SystemExit('the wrong one')")
    monkeypatch.chdir(resumed.paths.dir)
    with serving(resumed.paths.boards, port_of_its_own(), "g") as process:
        assert process.poll() is None


def test_view_shows_the_chosen_runs_only(resumed: Study) -> None:
    with view_of(resumed.paths.boards, ["blocks=VVV,seed=1-02ababab"]) as folder:
        port = port_of_its_own()
        with serving(folder, port, "g"):
            wait_for(lambda: Server(port).ask("data/runs"), ["blocks=VVV,seed=1-02ababab"])
    assert not folder.exists()
    assert (resumed.paths.boards / "blocks=VVV,seed=1-02ababab").exists()


def test_port_is_the_one_asked_for_else_the_first_that_is_free() -> None:
    assert choose_port(None, lambda port: port >= 6008) == 6008
    assert choose_port(7000, lambda port: True) == 7000
    with pytest.raises(InputError, match="--port 7000: is taken"):
        choose_port(7000, lambda port: False)
    with pytest.raises(InputError, match="no port from 6006 to 6105"):
        choose_port(None, lambda port: False)


def test_port_that_somebody_listens_on_is_not_free() -> None:
    with socket.socket() as other:
        other.bind((HOST, 0))
        other.listen()
        assert not is_free(other.getsockname()[1])


def test_tensorboard_that_cannot_start_says_why(resumed: Study) -> None:
    with socket.socket() as other:
        other.bind((HOST, 0))
        with pytest.raises(ClusterError, match=r"did not start: .*port"), serving(resumed.paths.boards, other.getsockname()[1], "g"):
            raise AssertionError
