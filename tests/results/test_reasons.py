"""Slurm's reasons for waiting: every family is told in words, an unknown one as it is."""

from __future__ import annotations

import pytest

from orchestrator.cluster.resources import Resources
from orchestrator.results.reasons import explain_reason, tell, tell_time

ASKED = Resources(gpus=1, cpus=2, mem_gb=32, time_min=1440)

SENTENCES = [
    ("", "Slurm has not considered it yet"),
    ("None", "Slurm has not considered it yet"),
    ("(null)", "Slurm has not considered it yet"),
    ("Priority", "jobs of others come first in the queue"),
    ("Resources", "it is next, as soon as 1 GPU, 2 cores, 32 GB for 24 h are free"),
    ("JobArrayTaskLimit", "as many runs compute as max_parallel of the grid allows"),
    ("BeginTime", "its time to begin has not come; after a requeue Slurm waits two minutes"),
    ("Dependency", "another job of the grid has to end first: its prepare command"),
    ("DependencyNeverSatisfied", "the job that had to end first failed, so that it never starts"),
    ("JobHeldUser", "somebody holds it (scontrol hold)"),
    ("JobHeldAdmin", "an administrator holds it"),
    ("JobHoldMaxRequeue", "Slurm requeued it so often that it holds it now"),
    ("launch failed requeued held", "a node could not start it, and Slurm holds it"),
    ("ReqNodeNotAvail, UnavailableNodes:n[1-3]", "nodes that it needs are down, drained, or reserved for maintenance"),
    ("ReqNodeNotAvail(Unavailable:n1)", "nodes that it needs are down, drained, or reserved for maintenance"),
    ("Nodes required for job are DOWN, DRAINED or reserved", "nodes that it needs are down, drained, or reserved for maintenance"),
    ("PartitionDown", "the partition starts no jobs at present"),
    ("PartitionInactive", "the partition starts no jobs at present"),
    ("PartitionNodeLimit", "it asks for more nodes than the partition gives one job (1 GPU, 2 cores, 32 GB for 24 h)"),
    ("BadConstraints", "no node of the partition can give what it asks for (1 GPU, 2 cores, 32 GB for 24 h)"),
    ("NodeDown", "the node that it needs is down"),
    ("Licenses", "a licence that it asks for is in use"),
    ("MaxMemPerLimit", "it asks for more memory than the partition gives a core or a node (1 GPU, 2 cores, 32 GB for 24 h)"),
    ("QOSMaxJobsPerUserLimit", "the QOS limits the jobs that one user holds at once, and you hold them all"),
    ("QOSMaxGRESPerUser", "the QOS limits the GPUs that one user holds at once, and you hold them all"),
    ("QOSGrpCpuLimit", "the QOS limits the cores that its jobs hold at once, and they hold them all"),
    ("QOSGrpNodeLimit", "the QOS limits the nodes that its jobs hold at once, and they hold them all"),
    ("AssocGrpGRES", "your account limits the GPUs that its jobs hold at once, and they hold them all"),
    ("AssocGrpMemLimit", "your account limits the memory that its jobs hold at once, and they hold them all"),
    ("AssocGrpCPURunMinutesLimit", "your account limits the cores that its jobs hold at once, and they hold them all"),
    ("AssocGrpCPUMinutesLimit", "your account has used up its budget of compute time"),
    ("QOSUsageThreshold", "the QOS has used up its budget of compute time"),
    ("AssocMaxCpuPerJobLimit", "it asks for more cores than your account allows one job"),
    ("AssocMaxCpuMinutesPerJobLimit", "cores x time is more than your account allows one job"),
    ("QOSMaxGRESMinutesPerJob", "GPUs x time is more than the QOS allows one job"),
    ("QOSMaxMemoryMinutesPerJob", "memory x time is more than the QOS allows one job"),
    ("QOSMaxGRESRunMinsPerUser", "the QOS limits the GPUs that one user holds at once, and you hold them all"),
    ("QOSMaxWallDurationPerJobLimit", "it asks for more time than the QOS allows one job"),
    ("QOSTimeLimit", "it asks for more time than the QOS allows one job"),
    ("QOSMinGRES", "it asks for less GPUs than the QOS wants of one job"),
    ("QOSNotAllowed", "its account or QOS may not be used in this partition"),
    ("Reservation", "its reservation has not begun, or is gone"),
    ("Prolog", "its node is being made ready"),
    ("SomethingNew", "Slurm says: SomethingNew"),
    ("Maximal words", "Slurm says: Maximal words"),
]


@pytest.mark.parametrize(("reason", "sentence"), SENTENCES)
def test_a_reason_is_told_in_words(reason: str, sentence: str) -> None:
    assert explain_reason(reason, ASKED).sentence == sentence


def test_what_asks_for_too_much_time_is_told_the_limit_and_how_to_ask_for_less() -> None:
    told = explain_reason("PartitionTimeLimit", ASKED, partition_limit_min=720)
    assert told.sentence == "it asks for 24 h; the partition's limit is 12 h"
    assert told.commands == (
        "cancel GRID --state queued",
        "requeue GRID --state cancelled --set resources.time_min=720",
    )


@pytest.mark.parametrize("limit", [None, 2880])
def test_a_limit_that_is_not_known_or_not_passed_is_not_named(limit: float | None) -> None:
    assert explain_reason("PartitionTimeLimit", ASKED, partition_limit_min=limit).sentence.endswith("than the partition allows (24 h)")


ASKS = [
    (Resources(), "1 core, 2 GB for 60 min"),
    (Resources(gpus=2, cpus=8, mem_gb=1.5, time_min=90, nodes=2), "2 GPUs, 8 cores, 1.5 GB on each of 2 nodes for 90 min"),
]


@pytest.mark.parametrize(("resources", "told"), ASKS)
def test_what_a_run_asks_for_is_told_in_words(resources: Resources, told: str) -> None:
    assert tell(resources) == told


@pytest.mark.parametrize(
    ("minutes", "told"), [(5, "5 min"), (119, "119 min"), (120, "2 h"), (150, "2.5 h"), (125, "125 min"), (1440, "24 h")]
)
def test_a_time_is_told_in_the_unit_in_which_it_is_round(minutes: float, told: str) -> None:
    assert tell_time(minutes) == told
