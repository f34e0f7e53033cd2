"""The command that trains without the orchestrator, in processes of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from models.config import read_config
from models.training import __main__ as command
from tests.models.local_run import LocalRun
from tests.models.training.test_train import ROOT, train


def call(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "models.training", *map(str, arguments)], cwd=ROOT, capture_output=True, text=True)


@pytest.fixture
def file(config, tmp_path) -> Path:
    """The config as a file, in a folder with a space and a quote."""
    path = tmp_path / "it's mine" / "small unet.json"
    path.parent.mkdir()
    path.write_text(json.dumps(config))
    return path


def test_command_trains_and_leaves_history_pictures_and_result(config, file, tmp_path):
    done = call(file, "--out", tmp_path / "out")
    assert (done.returncode, done.stderr) == (0, "")
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert result == train(config, LocalRun(tmp_path / "same"))
    history = [json.loads(line) for line in (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in history] == [1, 2, 3, 4]
    assert max(line["val/ssim"] for line in history) == result["val/ssim"]
    assert (tmp_path / "out" / "images" / "truth-000003.png").is_file()
    assert f"test/ssim {result['test/ssim']:.4g}" in done.stdout.splitlines()[-1]


def test_stopped_command_goes_on_where_it_was(config, file, tmp_path):
    config["train"].update(epochs=40, images_every=0)
    file.write_text(json.dumps(config))
    out = tmp_path / "out"
    process = subprocess.Popen([sys.executable, "-m", "models.training", file, "--out", out], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not (out / "metrics.jsonl").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    told = process.communicate(timeout=60)[1]
    assert (process.returncode, told) == (130, f"models.training: stopped; call it again with --out {out} to go on\n")
    config["train"]["epochs"] = 3
    file.write_text(json.dumps(config))
    done = call(file, "--out", out)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("resumed in epoch ")


WRONG = [
    ("{", r"is no JSON"),
    ("[1]", r"expected an object with model and data, got list"),
    ('{"model": {"kind": "unte"}, "data": {"layout": "fastmri", "root": "a"}}', r"model.kind: 'unte' is unknown. Did you mean unet?"),
    ('{"model": {"kind": "unet"}, "data": {"layout": "fastmri", "root": "none"}}', r"none/train: there is no such folder"),
]


@pytest.mark.parametrize(("text", "told"), WRONG)
def test_wrong_config_is_told_in_one_line(tmp_path, capsys, monkeypatch, text, told):
    monkeypatch.setattr(command.AloneRun, "stop_on_signals", lambda run: None)
    path = tmp_path / "config.json"
    path.write_text(text)
    assert command.main([str(path), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert told in said
    assert said.startswith("models.training: ")
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_missing_config_is_told_and_help_shows_an_example_that_is_right(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(command.AloneRun, "stop_on_signals", lambda run: None)
    assert command.main([str(tmp_path / "none.json")]) == 2
    assert "none.json: cannot be read (No such file" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        command.main(["--help"])
    shown = capsys.readouterr().out
    example = next(line for line in shown.splitlines() if line.strip().startswith("{"))
    assert read_config(json.loads(example)).network.chans == 32
