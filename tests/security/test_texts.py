"""Texts from elsewhere: hostile names, values, logs and reasons reach no path, no script and no terminal."""

from __future__ import annotations

import json
import os
import re
import unicodedata
from pathlib import Path
from shlex import quote

import pytest

from orchestrator.cli.main import one_line
from orchestrator.cli.show import arrange, cell, document, plain, say, warn
from orchestrator.cluster.profile import parse_profile
from orchestrator.cluster.resources import Resources
from orchestrator.cluster.scheduler import ArrayRequest
from orchestrator.cluster.slurm import SlurmScheduler
from orchestrator.store.errors import InputError
from orchestrator.store.layout import GridPaths, grid_paths
from tests.cli.conftest import Project, project  # noqa: F401 - a fixture

STEERING = [
    *("\x1b[31mred\x1b[0m", "\x1b[2J\x1b[H", "\x1b]0;title\x07", "\x1b]8;;http://x\x1b\\link", "\x1bP+q\x1b\\", "\x9b31m", "\x9d0;t\x9c"),
    *("a\rb", "a\x08\x08b", "a\x7fb", "\x07", "\x0e\x0f"),
    *("a\u202egnp.exe", "\u2066a\u2069", "a\u200bb", "\ufeffa", "a\u2028b", "\u061c", "\xad"),
]
HOSTILE = [
    *("../../x", "/etc/passwd", "a\nb", "a\n#SBATCH --uid=0", "; rm -rf ~", "$(touch pwned)", "`touch pwned`", "%x%j", "x" * 300, "-rf"),
    *("'\"\\", "\u202e\u200b", "a|b", "=cmd()", "{x}", "\x1b[31m", "<script>", "e\u0301"),
]


def is_inert(text: str) -> bool:
    """Nothing in it steers a terminal: no control character but the line end and tab, none without width or with a direction."""
    return all(unicodedata.category(char) not in ("Cc", "Cf", "Zl", "Zp", "Cs") or char in "\n\t" for char in text)


@pytest.mark.parametrize("text", STEERING)
def test_what_steers_a_terminal_is_inert_wherever_it_is_printed(text, capsys):
    dirty = f"before {text} after"
    say(dirty)
    warn(dirty)
    document("d", name=dirty)
    printed = capsys.readouterr()
    _, cells, _ = arrange([dirty, "b"], [[dirty, 1]], 200, {})
    for shown in (one_line(dirty), plain(dirty), cell(dirty), printed.out, printed.err, *cells[0]):
        assert is_inert(shown), ascii(shown)
    assert "before" in printed.err
    assert "after" in printed.err


@pytest.mark.parametrize("text", STEERING)
def test_a_document_still_says_what_it_was_given(text, capsys):
    document("d", name=text)
    assert json.loads(capsys.readouterr().out)["name"] == text


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_that_is_none_never_becomes_a_path(name, tmp_path):
    with pytest.raises(InputError):
        grid_paths(tmp_path, name)
    with pytest.raises(InputError):
        grid_paths(tmp_path, "g", name)
    paths = GridPaths(tmp_path / "g")
    for make in (paths.submission, paths.run, lambda text: paths.result(text, 1)):
        with pytest.raises(InputError):
            make(name)


@pytest.mark.parametrize("text", ["a\nb", "$(id)", "a b", "a;b", "`id`", "a'b", 'a"b', "a\\b", "a\tb"])
def test_an_option_never_leaves_its_line(text, tmp_path):
    scheduler = SlurmScheduler(parse_profile("", name="p", path="p.sh"), environment={})
    request = ArrayRequest(
        token="t-1", tasks=1, throttle=1, folder=tmp_path, command=("python",), resources=Resources(sbatch=(("comment", text),))
    )
    with pytest.raises(InputError, match="comment"):
        scheduler.preview(request)


def launch_hostile(project: Project) -> str:  # noqa: F811
    """Launch a grid of hostile values on a stand-in of Slurm; returns the grid's name."""
    project.stand_in_cluster()
    project.stand_in("sacctmgr", "root|||\n")
    project.stand_in("sbatch", "77\n")
    project.environment |= {"XDG_RUNTIME_DIR": str(project.folder), "XDG_STATE_HOME": str(project.folder)}
    values = [text for text in HOSTILE if "{" not in text]
    project.ok("launch", project.grid("quick", f"config: {{x: a}}\ngrid: {{x: {json.dumps(values)}}}"), "--profile", "slurm-cpu", "--yes")
    return "g"


@pytest.mark.journey
def test_hostile_values_are_in_no_path_no_script_and_no_terminal(project: Project) -> None:  # noqa: F811
    launch_hostile(project)
    names = [name for folder, folders, files in os.walk(project.folder / "runs") for name in (*folders, *files)]
    assert [name for name in names if not re.fullmatch(r"[A-Za-z0-9_.@-]{1,100}", name)] == []
    assert not (project.folder / "pwned").exists()
    (script,) = (project.folder / "runs").glob("g/submissions/*/script.sh")
    text = script.read_text()
    assert [value for value in HOSTILE if len(value) > 3 and value in text] == []
    for arguments in (
        ("status", "g", "--all"),
        ("status", "g", "--all", "--json"),
        ("summary", "g"),
        ("expand", "grids/g.yaml", "--dry-run"),
    ):
        done = project.ok(*arguments)
        assert is_inert(done.out + done.err), arguments


@pytest.mark.journey
def test_no_pickle_is_written(project: Project) -> None:  # noqa: F811
    """submitit's own submissions leave pickles that the login node reads; ours are tables and scripts."""
    launch_hostile(project)
    project.launch(project.grid("quick", "config: {x: 1}", name="h"))
    project.watch("h")
    files = [path for path in (project.folder / "runs").rglob("*") if path.is_file()]
    assert [path for path in files if path.suffix in (".pkl", ".pickle") or path.read_bytes()[:2] == b"\x80\x05"] == []


@pytest.mark.journey
def test_what_a_run_prints_does_not_steer_the_terminal(project: Project) -> None:  # noqa: F811
    project.compute("quick", "config: {x: 1}")
    (run,) = project.lines().values()
    log: Path = project.attempt(run["id"]) / "log.txt"
    log.write_text("".join(f"{text} end\n" for text in STEERING))
    for options in ((), ("--json",)):
        shown = project.ok("logs", run["id"], *options).out
        assert is_inert(shown)
        assert "end" in shown


@pytest.mark.journey
def test_slurm_s_variables_of_the_caller_reach_neither_its_commands_nor_the_script(project: Project) -> None:  # noqa: F811
    leaks = ["SBATCH_ARRAY_INX", "SBATCH_REQUEUE", "SBATCH_PARTITION", "SLURM_JOB_ID", "SQUEUE_FORMAT", "SACCT_FORMAT", "SCANCEL_STATE"]
    project.stand_in_cluster()
    for command in ("sbatch", "squeue", "sacct", "scontrol", "sinfo", "sacctmgr", "scancel"):
        program = project.folder / "bin" / command
        answer = program.read_text() if program.exists() else "#!/bin/sh\necho 77\n"
        program.write_text(answer.replace("#!/bin/sh\n", f"#!/bin/sh\nenv >> {quote(str(project.folder / 'seen'))}\n"))
        program.chmod(0o755)
    project.environment |= {"XDG_RUNTIME_DIR": str(project.folder), "XDG_STATE_HOME": str(project.folder)} | dict.fromkeys(leaks, "leaked")
    project.environment["SLURM_CONF"] = "/kept"
    project.ok("launch", project.grid("quick", "config: {x: 1}"), "--profile", "slurm-cpu", "--yes")
    project.ok("status", "g")
    seen = (project.folder / "seen").read_text()
    assert "SLURM_CONF=/kept" in seen
    assert "leaked" not in seen
