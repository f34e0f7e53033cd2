"""What doctor says of a cluster, setting by setting: the verdict, and the line to write where there is one."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.cluster.facts import Accounting, site_facts
from orchestrator.cluster.profile import parse_profile
from orchestrator.cluster.scheduler import Limits, Verdict
from orchestrator.cluster.site import Partition, Shape, Site, read_config, read_partitions, read_shapes

RECORDED = Path(__file__).parents[1] / "recorded" / "slurm"
SHAPES = (Shape(partition="gpu", cpus=4, mem_mb=4000, gpus=2),)
PARTITIONS = (Partition(name="gpu", is_default=True, preempt_mode="OFF"),)


def facts(config=None, *, site=None, profile="", limits=None, **accounting):
    """Return name → fact for a cluster with these settings."""
    site = site or Site(config=config or {}, partitions=PARTITIONS, shapes=SHAPES)
    read = parse_profile(profile, name="p", path="p.sh")
    told = Accounting(**accounting)
    return {fact.name: fact for fact in site_facts(site, limits or Limits(max_array_size=1001), read, told)}


def test_the_test_cluster_is_judged_as_it_is():
    site = Site(
        config=read_config((RECORDED / "scontrol_config.txt").read_text()),
        partitions=read_partitions((RECORDED / "scontrol_partition.txt").read_text()),
        shapes=read_shapes((RECORDED / "sinfo.txt").read_text()),
    )
    found = facts(site=site, associations="root|||\n")
    assert {name for name, fact in found.items() if fact.verdict is not Verdict.OK} == {"KillWait", "before preemption"}
    assert found["partition gpu"].value == "up to 4 CPUs, 3.9 GB, 2 GPUs a node, at most 1440 min, default"
    assert found["memory limits"].value.startswith("TaskPlugin=task/cgroup ConstrainRAMSpace=yes")


def test_a_cluster_on_which_nothing_works_is_told_so_with_a_way_out():
    found = facts(site=Site(), limits=Limits(max_array_size=0), complaint="sacct: disabled")
    assert {name for name, fact in found.items() if fact.verdict is Verdict.BAD} == {"tasks of an array", "partitions"}
    assert all(fact.advice for fact in found.values() if fact.verdict is not Verdict.OK)


CASES = [
    # settings, profile, accounting → fact, verdict, words of its advice
    ({"MinJobAge": "300 sec"}, "", {}, "MinJobAge", "ok", ""),
    ({"MinJobAge": "30 sec"}, "", {}, "MinJobAge", "ok", ""),
    ({"MinJobAge": "30 sec"}, "", {"complaint": "down"}, "MinJobAge", "note", "#MRSWEEP poll_s=15"),
    ({"MinJobAge": "2 sec"}, "", {"complaint": "down"}, "MinJobAge", "note", "MinJobAge=300"),
    ({"MinJobAge": "30 sec"}, "#MRSWEEP poll_s=15\n", {"complaint": "down"}, "MinJobAge", "ok", ""),
    ({"JobRequeue": "1"}, "", {}, "JobRequeue", "ok", ""),
    ({"JobRequeue": "0"}, "", {}, "JobRequeue", "note", "#SBATCH --requeue"),
    ({"JobRequeue": "0"}, "#SBATCH --requeue\n", {}, "JobRequeue", "ok", ""),
    ({"RequeueExit": "1-10,99"}, "", {}, "RequeueExit", "note", "#SBATCH --no-requeue"),
    ({"RequeueExit": "99"}, "", {}, "RequeueExit", "ok", ""),
    ({"RequeueExitHold": "2"}, "", {}, "RequeueExitHold", "note", "scontrol release"),
    ({"PreemptType": "preempt/none", "PreemptMode": "OFF"}, "", {}, "PreemptMode", "ok", ""),
    ({"PreemptMode": "SUSPEND,GANG"}, "", {}, "PreemptMode", "ok", ""),  # the partition's OFF goes before it
    ({"KillWait": "2 sec"}, "", {}, "KillWait", "note", "warning_s"),
    ({"KillWait": "30 sec"}, "", {}, "KillWait", "ok", ""),
    ({"TaskPlugin": "task/affinity"}, "", {}, "memory limits", "note", "measured peak"),
    ({"SelectTypeParameters": "CR_CORE"}, "", {}, "memory is shared out", "note", "#SBATCH --exclusive"),
    ({"JobSubmitPlugins": "lua"}, "", {}, "job_submit plugins", "note", "--dry-run"),
    ({"MaxJobCount": "500"}, "", {}, "jobs of all users", "note", "max_parallel"),
    ({"SlurmctldParameters": "enable_configless,rl_enable"}, "", {}, "rate limit (rl_enable)", "ok", ""),
    ({}, "#MRSWEEP poll_s=1\n", {}, "a look every", "note", "#MRSWEEP poll_s=60"),
    ({}, "", {"took_s": 9.0}, "sacct takes", "note", "#MRSWEEP poll_s=120"),
    ({"AccountingStorageEnforce": "associations"}, "", {"associations": ""}, "your accounts", "bad", "account"),
    ({"AccountingStorageEnforce": "associations"}, "", {"associations": "lab|||"}, "your accounts", "ok", ""),
    ({"SLURM_VERSION": "19.05.1"}, "", {}, "Slurm", "note", "20.11"),
]


@pytest.mark.parametrize(("config", "profile", "accounting", "name", "verdict", "words"), CASES)
def test_a_setting_is_judged_with_the_line_to_write(config, profile, accounting, name, verdict, words):
    fact = facts(config, profile=profile, **accounting)[name]
    assert (fact.verdict.value, words in fact.advice) == (verdict, True), fact


def test_accounting_that_does_not_enforce_asks_for_no_account():
    assert "your accounts" not in facts({"AccountingStorageEnforce": "none"}, associations="")
    assert "your accounts" not in facts({"AccountingStorageEnforce": "associations"}, associations=None)


@pytest.mark.parametrize(
    ("mode", "verdict", "words"),
    [("REQUEUE", "ok", ""), ("CANCEL", "note", "keep one running"), ("SUSPEND", "note", "keeps its node")],
)
def test_preemption_is_that_of_the_profile_s_partition(mode, verdict, words):
    both = (Partition(name="low", preempt_mode=mode, grace_s=120), Partition(name="gpu", is_default=True, preempt_mode="OFF"))
    site = Site(config={"PreemptType": "preempt/partition_prio", "KillWait": "30 sec"}, partitions=both, shapes=SHAPES)
    found = facts(site=site, profile="#SBATCH --partition=low\n")
    assert (found["PreemptMode"].value, found["PreemptMode"].verdict.value) == (mode, verdict)
    assert words in found["PreemptMode"].advice
    assert found["before preemption"].value.startswith("GraceTime 120 s")


def test_a_partition_tells_its_grace_time():
    assert read_partitions("PartitionName=p GraceTime=90\n")[0].grace_s == 90
    assert read_partitions("PartitionName=p\n")[0].grace_s == 0


def test_a_profile_that_asks_for_gpus_where_there_are_none_is_told():
    site = Site(partitions=PARTITIONS, shapes=(Shape(partition="gpu", cpus=4, mem_mb=4000, gpus=0),))
    assert "gpu=none" in facts(site=site, profile="#MRSWEEP gpu=gres\n")["GPUs"].advice
    assert "GPUs" not in facts(site=site, profile="#MRSWEEP gpu=none\n")
