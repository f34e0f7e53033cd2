"""The doctor at the command line: on this machine, on a stand-in of Slurm, and by a job of its own."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Project


@pytest.fixture(autouse=True)
def _state_of_its_own(project: Project, tmp_path) -> None:
    project.environment |= {"XDG_RUNTIME_DIR": str(tmp_path), "XDG_STATE_HOME": str(tmp_path)}


def facts(project: Project, *options: str, code: int = 0) -> dict[str, dict[str, str]]:
    done = project.run("doctor", "--json", *options)
    assert done.code == code, done
    return {fact["name"]: fact for fact in done.document["facts"]}


def test_every_line_fits_a_narrow_terminal_and_keeps_all_words(project: Project) -> None:
    project.stand_in_cluster()
    project.stand_in("sacctmgr", "root|||\n")
    found = facts(project, "--profile", "slurm-gpu")
    for width in ("80", "60"):
        shown = project.ok("doctor", "--profile", "slurm-gpu", COLUMNS=width).out
        assert max(map(len, shown.splitlines())) <= int(width)
        words = set(shown.split())
        assert [name for name, fact in found.items() if not set(fact["advice"].split()) <= words] == []
    assert "worth knowing" in shown.splitlines()[-1]


def test_a_controller_that_is_down_is_one_fact_among_others(project: Project) -> None:
    for command in ("scontrol", "sinfo", "squeue", "sacct", "sacctmgr"):
        project.stand_in(command, error="Unable to contact slurm controller (connect failure)", code=1)
    found = facts(project, "--profile", "slurm-gpu", code=1)
    assert found["Slurm"]["verdict"] == "bad"
    assert "Unable to contact" in found["Slurm"]["advice"]
    assert found["atomic files"]["verdict"] == "ok"


def test_a_machine_without_slurm_is_told_the_profile_that_works(project: Project, bare_path: str) -> None:
    done = project.run("doctor", "--profile", "slurm-gpu", PATH=bare_path)
    assert done.code == 1
    assert "--profile local" in " ".join(done.out.split())
    assert "1 thing will not work" in done.out


def test_calls_are_counted_over_commands(project: Project) -> None:
    project.stand_in_cluster()
    facts(project, "--profile", "slurm-gpu", code=1)  # no association is told, which is bad
    again = facts(project, "--profile", "slurm-gpu", code=1)["calls to Slurm"]["value"]
    assert again.startswith("2 sacct, 4 sacctmgr, 4 scontrol, 2 sinfo in the last hour")


def test_a_home_that_cannot_be_written_to_is_a_note(project: Project, tmp_path) -> None:
    project.stand_in_cluster()
    blocked = tmp_path / "file"
    blocked.write_text("")
    project.environment |= {"XDG_RUNTIME_DIR": str(blocked), "XDG_STATE_HOME": str(blocked)}
    fact = facts(project, "--profile", "slurm-gpu", code=1)["calls to Slurm"]
    assert (fact["verdict"], "not counted" in fact["value"]) == ("note", True)


def test_a_runs_folder_that_others_can_write_to_is_bad(project: Project) -> None:
    runs = project.folder / "runs"
    runs.mkdir()
    runs.chmod(0o777)
    fact = facts(project, "--profile", "quick", code=1)["runs folder"]
    assert (fact["verdict"], "chmod go-w" in fact["advice"]) == ("bad", True)


def test_the_probe_meets_a_worker_and_leaves_nothing_behind(project: Project) -> None:
    found = facts(project, "--profile", "quick", "--probe")
    assert "40 of 40 files had one creator" in found["exclusive creation"]["value"]
    assert {name: fact for name, fact in found.items() if fact["verdict"] == "bad"} == {}
    assert list((project.folder / "runs").iterdir()) == []


def test_a_probe_that_is_not_accepted_says_why(project: Project) -> None:
    project.stand_in_cluster()
    project.stand_in("sbatch", error="sbatch: error: Batch job submission failed: Invalid qos specification", code=1)
    found = facts(project, "--profile", "slurm-gpu", "--probe", code=1)
    assert found["probe job"]["verdict"] == "bad"
    assert "Invalid qos" in found["probe job"]["advice"]
    assert list((project.folder / "runs").iterdir()) == []


def test_a_probe_that_never_starts_is_cancelled_and_says_so(project: Project) -> None:
    project.stand_in_cluster()
    project.stand_in("sbatch", "77\n")
    found = facts(project, "--profile", "slurm-gpu", "--probe", "--wait", "0.1", code=1)
    assert found["probe job"]["verdict"] == "note"
    assert "--wait" in found["probe job"]["advice"]
