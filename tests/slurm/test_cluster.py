"""What the rest builds on, seen on the real Slurm: arrays and GPUs, memory limits, signals, requeue, fences, faults."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.slurm import cluster as cluster_module
from tests.slurm.cluster import Cluster
from tests.slurm.cluster_config import NODES, config_files
from tests.slurm.cluster_process import ClusterDown, processes_of, wait_until

SCRIPT = Path(cluster_module.__file__)


def submit(slurm: Cluster, command: str, *options: str) -> str:
    """Submit a small job without a log of its own; return its id."""
    return slurm.command("sbatch", "--parsable", "--mem=50M", "--output=/dev/null", *options, f"--wrap={command}").strip()


def accounted(slurm: Cluster, job: str, fields: str, *options: str) -> list[str]:
    """Return sacct's rows of a job, fields joined by `|`."""
    return slurm.command("sacct", "-n", "-P", "-j", job, "-o", fields, *options).split()


def queued(slurm: Cluster, job: str, what: str = "%T") -> str:
    return slurm.command("squeue", "-h", "-a", "-t", "all", "-j", job, "-o", what).strip()


def wait_for_state(slurm: Cluster, job: str, state: str, *, within_s: float = 60) -> None:
    wait_until(lambda: queued(slurm, job) == state, within_s=within_s, what=f"{job} {state}")


def test_array_of_ten_tasks_with_a_gpu_each_sees_visible_devices(slurm: Cluster, tmp_path: Path) -> None:
    submit(slurm, "echo $CUDA_VISIBLE_DEVICES", "--array=0-9", "--gres=gpu:1", f"--output={tmp_path}/%a")
    wait_until(lambda: sum(path.stat().st_size > 0 for path in tmp_path.iterdir()) == 10, within_s=60, what="ten logs")
    assert {path.read_text().strip() for path in tmp_path.iterdir()} <= {"0", "1"}


def test_no_more_than_two_gpu_tasks_run_on_a_node_at_once(slurm_alone: Cluster) -> None:
    job = submit(slurm_alone, "sleep 60", "--array=0-9", "--gres=gpu:1")
    wait_until(lambda: queued(slurm_alone, job).split().count("RUNNING") == 8, within_s=30, what="eight tasks on eight GPUs")
    nodes = slurm_alone.command("squeue", "-h", "-j", job, "-t", "R", "-o", "%N").split()
    assert {node: nodes.count(node) for node in nodes} == dict.fromkeys(NODES, 2)


def test_task_over_its_memory_is_killed_and_accounted_as_out_of_memory(slurm: Cluster) -> None:
    if not slurm.memory_limits:
        pytest.skip("no writable cgroup v1 on this machine: jobs are not held to their memory")
    job = submit(slurm, f"{sys.executable} -c 'b = bytearray(400 << 20); b[::4096] = b[::4096]'", "--mem=100M")
    wait_for_state(slurm, job, "OUT_OF_MEMORY")
    wait_until(lambda: accounted(slurm, job, "State,ExitCode", "-X") == ["OUT_OF_MEMORY|0:125"], within_s=20, what="0:125 in sacct")


@pytest.mark.parametrize(
    ("command", "row"),
    [("exit 0", "COMPLETED|0:0"), ("exit 3", "FAILED|3:0"), ("kill -9 $$", "FAILED|0:9"), ("exit 137", "FAILED|9:0")],
)
def test_accounting_tells_how_a_job_ended(slurm: Cluster, command: str, row: str) -> None:
    job = submit(slurm, command)
    wait_until(lambda: accounted(slurm, job, "State,ExitCode", "-X") == [row], within_s=30, what=row)


def test_singleton_keeps_a_twin_of_the_same_name_waiting(slurm: Cluster) -> None:
    first, second = [submit(slurm, "sleep 60", "--job-name=fenced-twin", "--dependency=singleton") for _ in range(2)]
    wait_for_state(slurm, first, "RUNNING")
    assert queued(slurm, second, "%T %r") == "PENDING Dependency"
    slurm.command("scancel", first)
    wait_for_state(slurm, second, "RUNNING")
    slurm.command("scancel", second)


@pytest.mark.slow
def test_python_behind_exec_gets_the_warning_signal_and_its_exit_code_is_the_jobs(slurm: Cluster, tmp_path: Path) -> None:
    program = tmp_path / "warned.py"
    program.write_text("import signal, sys, time\nsignal.signal(signal.SIGUSR1, lambda *_: sys.exit(7))\ntime.sleep(300)\n")
    job = submit(slurm, f"exec {sys.executable} {program}", "--time=1", "--signal=B:USR1@25")
    wait_for_state(slurm, job, "FAILED", within_s=90)
    wait_until(lambda: accounted(slurm, job, "State,ExitCode", "-X") == ["FAILED|7:0"], within_s=20, what="7:0 in sacct")


@pytest.mark.slow
def test_requeued_job_keeps_its_id_and_counts_its_restarts(slurm: Cluster, tmp_path: Path) -> None:
    log = tmp_path / "log"
    job = submit(slurm, "echo ${SLURM_RESTART_COUNT-none}; sleep 60", "--requeue", "--open-mode=append", f"--output={log}")
    wait_until(lambda: log.is_file() and log.read_text() == "none\n", within_s=30, what="first start")
    slurm.command("scontrol", "requeue", job)
    wait_until(lambda: log.read_text().splitlines()[-1] == "1", within_s=60, what="second start")
    slurm.command("scancel", job)


@pytest.mark.slow
def test_high_partition_preempts_and_the_preempted_job_comes_back(slurm_alone: Cluster, tmp_path: Path) -> None:
    whole_cluster = ("--nodes=4", "--exclusive", "--requeue", "--open-mode=append", f"--output={tmp_path}/log")
    victim = submit(slurm_alone, "echo ${SLURM_RESTART_COUNT-0}; sleep 60", *whole_cluster)
    wait_for_state(slurm_alone, victim, "RUNNING")
    submit(slurm_alone, "sleep 1", "--partition=high")
    wait_until(lambda: "PREEMPTED" in accounted(slurm_alone, victim, "State", "-X", "-D"), within_s=30, what="PREEMPTED in sacct")
    wait_until(lambda: (tmp_path / "log").read_text().split()[-1] == "1", within_s=60, what="second start")


def test_lost_node_leaves_its_process_alive_and_returns_without_it(slurm_alone: Cluster) -> None:
    job = submit(slurm_alone, "exec sleep 1234", "--no-requeue", "--nodelist=n3")
    wait_until(lambda: sleeps(slurm_alone) == 1, within_s=30, what="job started")
    slurm_alone.lose_node("n3")
    wait_for_state(slurm_alone, job, "NODE_FAIL")
    assert slurm_alone.node_states()["n3"].startswith("down")
    assert sleeps(slurm_alone) == 1
    slurm_alone.return_node("n3")
    assert sleeps(slurm_alone) == 0
    wait_for_state(slurm_alone, submit(slurm_alone, "true", "--nodelist=n3"), "COMPLETED")


def sleeps(slurm: Cluster) -> int:
    return sum(b"1234" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0") for pid in processes_of(slurm.folder))


@pytest.mark.slow
def test_submission_to_a_frozen_controller_fails_and_yet_is_carried_out(slurm_alone: Cluster) -> None:
    slurm_alone.freeze("slurmctld")
    with pytest.raises(ClusterDown, match="Socket timed out"):
        submit(slurm_alone, "sleep 60", "--job-name=lost-reply")
    slurm_alone.thaw("slurmctld")
    states = ("squeue", "-h", "-n", "lost-reply", "-o", "%T")
    wait_until(lambda: slurm_alone.command(*states).strip() == "RUNNING", within_s=30, what="the job whose reply was lost")


@pytest.mark.slow
def test_killed_daemons_come_back_with_what_they_had_saved(slurm_alone: Cluster) -> None:
    job = submit(slurm_alone, "sleep 60")
    wait_for_state(slurm_alone, job, "RUNNING")
    slurm_alone.stop("slurmctld")
    assert slurm_alone.node_states() == {}
    slurm_alone.start("slurmctld")
    assert queued(slurm_alone, job) == "RUNNING"
    slurm_alone.kill("slurmdbd")
    with pytest.raises(ClusterDown):
        accounted(slurm_alone, job, "State")
    slurm_alone.start("slurmdbd")
    wait_until(lambda: "RUNNING" in accounted(slurm_alone, job, "State"), within_s=30, what="accounting")


def test_limit_on_submitted_jobs_refuses_what_is_over_it(slurm_alone: Cluster) -> None:
    slurm_alone.limit_submissions(5)
    submit(slurm_alone, "sleep 60", "--array=0-3")
    with pytest.raises(ClusterDown, match="job submit limit"):
        submit(slurm_alone, "sleep 60", "--array=0-1")
    slurm_alone.limit_submissions(None)
    submit(slurm_alone, "sleep 60", "--array=0-1")


@pytest.mark.slow
def test_two_who_bring_up_one_cluster_at_once_get_one_and_down_leaves_nothing(slurm: Cluster, tmp_path: Path) -> None:
    folder = tmp_path / "second"
    twice = [subprocess.Popen(verb("up", folder), stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = sorted(starter.communicate(timeout=120)[0] for starter in twice)
    assert ["started in" in text for text in said] == [True, False], said
    assert f"export SLURM_CONF={folder}/etc/slurm.conf" in said[1]
    second = Cluster(folder)
    wait_for_state(second, submit(second, "true"), "COMPLETED")
    submit(second, "sleep 600")
    for _ in range(2):  # the second time there is nothing left to do
        assert subprocess.run(verb("down", folder)).returncode == 0
        assert not folder.exists()
        assert [*processes_of(folder)] == []
    wait_for_state(slurm, submit(slurm, "true"), "COMPLETED")  # the neighbour never noticed


def verb(name: str, folder: Path) -> list[str]:
    return [sys.executable, str(SCRIPT), name, "--dir", str(folder)]


@pytest.mark.slow
def test_cluster_left_by_a_kill_is_replaced_and_works_without_control_groups(slurm: Cluster, tmp_path: Path) -> None:
    abandoned = Cluster(tmp_path / "c", memory_limits=False)
    abandoned.up()
    abandoned.kill("slurmctld")
    assert not abandoned.is_up()
    assert abandoned.up()
    assert not abandoned.memory_limits
    wait_for_state(abandoned, submit(abandoned, "true", "--gres=gpu:1"), "COMPLETED")
    abandoned.down()


def test_daemon_that_does_not_start_is_named_with_its_last_words(slurm: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Cluster(tmp_path / "broken")
    monkeypatch.setattr(cluster_module, "config_files", lambda site: {**config_files(site), "slurm.conf": broken_conf(config_files(site))})
    with pytest.raises(ClusterDown, match=r"(?s)slurmctld ended; its log ends so:\n.*nonsense"):
        broken.up()
    assert [*processes_of(broken.folder)] == []


def broken_conf(files: dict[str, str]) -> str:
    return files["slurm.conf"].replace("SelectType=select/cons_tres", "SelectType=select/nonsense")


def test_cluster_that_was_never_started_is_named_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(ClusterDown, match="make slurm-up"):
        Cluster(tmp_path / "none").command("sinfo")


def test_folder_that_slurm_cannot_write_in_its_configuration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ClusterDown, match="no space, quote or comma"):
        Cluster(tmp_path / "it's a folder").up()
