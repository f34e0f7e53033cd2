"""What an entry returns, raises and leaves behind, through a real worker and a real child."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from PIL import Image

from orchestrator.cluster.resources import Resources
from orchestrator.grid.manifest import Need
from orchestrator.grid.objective import Objective
from orchestrator.store.events import Arrived, Left, Ready, Started
from orchestrator.store.states import Cause, State
from orchestrator.worker.outcome import End, Result, read_end, read_result, sha256


def test_an_entry_gets_its_config_and_its_returned_metrics_are_the_result(farm: Any) -> None:
    ended = farm.compute("def main(config, run):\n    return {'loss': config['optim']['lr'] * 2}", config={"optim": {"lr": 0.25}})
    result = msgspec.json.decode(farm.attempt().result.read_bytes(), type=Result)
    assert (ended.state, ended.metrics, result.metrics) == (State.COMPLETED, {"loss": 0.5}, {"loss": 0.5})
    assert ended.sha256 == sha256(farm.attempt().result.read_bytes())
    assert [type(line) for line in farm.journal()][:3] == [Arrived, Ready, Started]
    assert isinstance(farm.journal()[-1], Left)


def test_overrides_of_the_row_reach_the_config_and_leave_the_manifest_alone(farm: Any) -> None:
    code = "def main(config, run):\n    return {'batch': config['train']['batch'], 'lr': config['lr']}"
    ended = farm.compute(code, config={"train": {"batch": 8}, "lr": 1.0}, row={"config": {"train.batch": 4}})
    assert ended.metrics == {"batch": 4, "lr": 1.0}


@pytest.mark.parametrize(
    ("body", "state", "cause", "message"),
    [
        ("return None", State.COMPLETED, None, ""),
        ("return {'a': float('nan'), 'b': [1]}", State.COMPLETED, None, ""),
        ("return [1, 2]", State.FAILED, Cause.ERROR, "the entry returned a list"),
        ("raise SystemExit(0)", State.FAILED, Cause.SILENT_EXIT, "sys.exit(0)"),
        ("raise SystemExit(3)", State.FAILED, Cause.ERROR, "sys.exit(3)"),
        ("import os; os._exit(0)", State.FAILED, Cause.SILENT_EXIT, "left no result"),
        ("import os; os._exit(5)", State.FAILED, Cause.ERROR, "exited with code 5"),
        ("import os; os.kill(os.getpid(), 11)", State.FAILED, Cause.ERROR, "SIGSEGV"),
        ("import os; os.kill(os.getpid(), 9)", State.FAILED, Cause.UNKNOWN, "SIGKILL"),
        ("raise ValueError('shape [3, 4] is odd')", State.FAILED, Cause.ERROR, "ValueError: shape [3, 4] is odd"),
        ("open('/no/such/file.h5')", State.FAILED, Cause.BAD_INPUT, "/no/such/file.h5"),
        ("import no_such_module_at_all", State.FAILED, Cause.IMPORT_ERROR, "no_such_module_at_all"),
        ("raise run.Interrupted", State.FAILED, Cause.ERROR, "nobody had asked"),
        ("raise type('Diverged', (Exception,), {'mrsweep_cause': 'diverged'})('NaN loss')", State.FAILED, Cause.DIVERGED, "NaN loss"),
        ("raise MemoryError", State.FAILED, Cause.HOST_OOM, "MemoryError"),
        ("raise OSError(28, 'No space left on device')", State.FAILED, Cause.DISK_FULL, "No space left"),
    ],
)
def test_every_way_out_of_an_entry_has_its_state_and_cause(farm: Any, body: str, state: State, cause: Cause, message: str) -> None:
    ended = farm.compute(f"def main(config, run):\n    {body}")
    assert (ended.state, ended.cause) == (state, cause), ended
    assert message in ended.message
    assert read_end(farm.attempt()).state is state  # type: ignore[union-attr]
    assert farm.attempt().result.exists() == (state is State.COMPLETED)


@pytest.mark.parametrize(
    ("entry", "message"),
    [("entries:mian", "Did you mean main?"), ("entrys:main", "entrys"), ("entries:NUMBER", "it must be a function")],
)
def test_an_entry_that_cannot_be_found_says_how_it_could(farm: Any, entry: str, message: str) -> None:
    ended = farm.compute("NUMBER = 3\ndef main(config, run):\n    return {}", entry=entry)
    assert ended.state is State.FAILED
    assert message in ended.message


def test_metrics_that_are_nan_keep_their_word_and_never_are_the_best(farm: Any) -> None:
    code = """
    import math
    def main(config, run):
        for step, value in enumerate([0.5, 0.75, math.nan, math.inf, 0.25]):
            run.report(step, {"val/ssim": value}, note="x")
    """
    ended = farm.compute(code, submit={"objective": Objective(name="val/ssim", mode="max")})
    lines = [json.loads(line) for line in farm.attempt().metrics.read_text().splitlines()]
    assert [line["val/ssim"] for line in lines] == [0.5, 0.75, "nan", "inf", 0.25]
    assert lines[0] == {"val/ssim": 0.5, "note": "x", "step": 0}
    assert (ended.best, ended.best_step, ended.last) == (0.75, 1, 0.25)


def test_nothing_that_was_not_flushed_is_lost(farm: Any) -> None:
    code = """
    import atexit, sys, threading, time
    kept = None
    def main(config, run):
        global kept
        kept = open(run.dir / "left_open.txt", "w")
        kept.write("written, never closed")
        atexit.register(lambda: (run.dir / "atexit.txt").write_text("ran"))
        threading.Thread(target=lambda: (time.sleep(0.2), (run.dir / "thread.txt").write_text("ended"))).start()
        print("printed without a newline", end="")
        sys.stderr.write("and an error ünïcode \\udcff")
        return {}
    """
    assert farm.compute(code).state is State.COMPLETED
    folder = farm.attempt().dir
    texts = [(folder / name).read_text() for name in ("left_open.txt", "atexit.txt", "thread.txt")]
    assert texts == ["written, never closed", "ran", "ended"]
    assert "printed without a newline" in farm.log()
    assert "ünïcode \\udcff" in farm.log()


def test_the_log_shows_the_users_traceback_and_none_of_the_workers_frames(farm: Any) -> None:
    ended = farm.compute("def deep():\n    raise RuntimeError('step 17 of 30')\ndef main(config, run):\n    deep()")
    assert "entries.py" in farm.log()
    assert "orchestrator/worker" not in farm.log()
    assert ended.signature == "RuntimeError entries.py:deep step # of #"
    excerpt = msgspec.json.decode(farm.attempt().end.read_bytes(), type=End).excerpt
    assert "step 17" in excerpt
    assert "returned_metrics" not in excerpt and 'File "entries.py", line' in excerpt  # the user's file, named below the user's code


def test_a_run_sees_its_threads_its_folders_and_slurms_names_put_aside(farm: Any) -> None:
    code = """
    import json, os, sys
    def main(config, run):
        seen = {"env": dict(os.environ), "cwd": os.getcwd(), "path": sys.path[0]}
        (run.dir / "seen.json").write_text(json.dumps(seen))
    """
    farm.write("entries.py", code)
    farm.add(entry="entries:main")
    farm.submit(keep_env=("SLURM_JOB_NAME",), resources=Resources(cpus=64))
    farm.work(SLURM_JOB_ID="7", SLURM_ARRAY_JOB_ID="6", SLURM_ARRAY_TASK_ID="0", SLURM_JOB_NAME="kept", SBATCH_PARTITION="gpu")
    seen = json.loads((farm.attempt().dir / "seen.json").read_text())
    env = seen["env"]
    assert not [name for name in env if name.startswith(("SLURM", "SBATCH")) and name != "SLURM_JOB_NAME"]
    assert (env["MRSWEEP_SLURM_JOB_ID"], env["MRSWEEP_SBATCH_PARTITION"], env["SLURM_JOB_NAME"]) == ("7", "gpu", "kept")
    assert env["OMP_NUM_THREADS"] == str(len(__import__("os").sched_getaffinity(0)))
    assert (seen["cwd"], seen["path"]) == (str(farm.project), str(farm.project))
    assert env["MRSWEEP_RUN_DIR"] == str(farm.attempt().dir)


def test_the_snapshot_and_its_src_come_before_the_project(farm: Any, tmp_path: Path) -> None:
    code = tmp_path / "code" / "abc"
    (code / "src").mkdir(parents=True)
    (code / "entries.py").write_text("import part\ndef main(config, run):\n    return {'from': part.NAME}")
    (code / "src" / "part.py").write_text("NAME = 'snapshot'")
    farm.write("part.py", "NAME = 'project'")
    assert farm.compute("raise RuntimeError('the project is not what runs')", submit={"code": str(code)}).metrics == {"from": "snapshot"}


def test_needs_are_paths_below_the_runs_folder_and_a_missing_one_is_bad_input(farm: Any) -> None:
    need = Need(grid="other", run="f" * 16, sha256="", path="other/ff/x/checkpoint")
    ended = farm.compute("def main(config, run):\n    return {'w': str(run.needs['weights'])}", needs={"weights": need})
    assert (ended.cause, "needs.weights" in ended.message) == (Cause.BAD_INPUT, True)
    (farm.grid.dir.parent / need.path).mkdir(parents=True)
    farm.add(entry="entries:main", needs={"weights": need})
    farm.submit()
    farm.work(index=1)
    assert farm.ended()[-1].metrics == {"w": str(farm.grid.dir.parent / need.path)}


def test_an_attempt_continues_from_the_checkpoint_that_the_table_names(farm: Any) -> None:
    code = """
    def main(config, run):
        start = int((run.resume_from / "step").read_text()) if run.resume_from else 0
        for step in range(start, start + 3):
            run.report(step, q=[0.1, 0.9, 0.2, 0.3, 0.4][step])
        (run.checkpoint_dir / "step").write_text(str(start + 2))
        return {"start": start}
    """
    objective = Objective(name="q")
    assert farm.compute(code, submit={"objective": objective}).metrics == {"start": 0}
    farm.attempt().result.unlink()  # as if it had been interrupted
    farm.rows = [msgspec.structs.replace(farm.rows[0], attempt=2, resume="attempt-1")]
    farm.submit(objective=objective)
    farm.work(index=1)
    ended = farm.ended()[-1]
    assert (ended.attempt, ended.metrics) == (2, {"start": 2})
    assert (ended.best, ended.best_step, ended.last) == (0.9, 1, 0.4)  # step 1 is the first attempt's


def test_a_result_of_another_run_or_a_torn_one_proves_nothing(farm: Any) -> None:
    farm.compute("def main(config, run):\n    return {}")
    run_id, path = farm.manifests[0].id, farm.attempt().result
    content = path.read_bytes()
    assert read_result(farm.attempt(), run_id) is not None
    assert read_result(farm.attempt(), "f" * 16) is None
    for torn in (b"", content[:-3], content.replace(b'"attempt":1', b'"attempt":2'), content.replace(run_id.encode(), b"e" * 16)):
        path.write_bytes(torn)
        assert read_result(farm.attempt(), run_id) is None


def test_pictures_are_scaled_and_their_names_cannot_leave_the_folder(farm: Any) -> None:
    code = """
    import numpy as np
    def main(config, run):
        run.image("../../x y", np.array([[0.0, np.nan, 2.0]]) * 1j, 3)
        run.image("flat", np.ones((3, 5)))
    """
    assert farm.compute(code).state is State.COMPLETED
    images = sorted(path.name for path in farm.attempt().images.iterdir())
    assert images == ["_.._x_y-000003.png", "flat-000000.png"]
    windows = [(picture.info["low"], picture.info["high"]) for picture in map(Image.open, sorted(farm.attempt().images.iterdir()))]
    assert windows == [("0.0", "2.0"), ("1.0", "1.0")]  # what black and white stand for
