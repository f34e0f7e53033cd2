"""What a cluster says of itself, and what is refused before anything is submitted."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.cluster.resources import Resources
from orchestrator.cluster.scheduler import Limits
from orchestrator.cluster.site import (
    Partition,
    Shape,
    Site,
    count_gpus,
    read_config,
    read_limits,
    read_minutes,
    read_partitions,
    read_shapes,
    refuse_impossible,
)
from orchestrator.store.errors import ProfileError

RECORDED = Path(__file__).parents[1] / "recorded" / "slurm"


def recorded(name):
    return (RECORDED / f"{name}.txt").read_text()


@pytest.fixture
def site():
    return Site(
        config=read_config(recorded("scontrol_config")),
        partitions=read_partitions(recorded("scontrol_partition")),
        shapes=read_shapes(recorded("sinfo")),
    )


def test_a_real_cluster_is_read(site):
    assert (site.config["MaxArraySize"], site.config["ConstrainRAMSpace"], site.config["X11Parameters"]) == ("1001", "yes", "(null)")
    assert site.partitions[0] == Partition(name="gpu", is_default=True, limit_min=1440.0, preempt_mode="REQUEUE", nodes=4)
    assert site.shapes[1] == Shape(partition="high", cpus=4, mem_mb=4000, gpus=2)


def test_an_empty_value_does_not_swallow_the_next_line():
    assert read_config("A = \nB = 2\n") == {"A": "", "B": "2"}


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("90", 90), ("30:00", 30), ("0:30", 0.5), ("12:00:00", 720), ("1-00", 1440), ("7-00:00:00", 10080), ("2-12:30", 3630)],
)
def test_a_duration_is_read_in_every_form(text, minutes):
    assert read_minutes(text) == minutes


@pytest.mark.parametrize("text", ["UNLIMITED", "INFINITE", "NONE", "", "1-2-3", "a:b"])
def test_what_is_no_duration_is_no_limit(text):
    assert read_minutes(text) is None


@pytest.mark.parametrize(
    ("gres", "gpus"),
    [("(null)", 0), ("", 0), ("gpu:2", 2), ("gpu:a100:4(S:0-1)", 4), ("gpu:a100:2,gpu:v100:1", 3), ("disk:9,gpu:8", 8), ("mps:gpu:2", 0)],
)
def test_gpus_are_counted(gres, gpus):
    assert count_gpus(gres) == gpus


def test_a_node_that_tells_more_or_less_is_read_or_passed_over():
    assert read_shapes("gpu|4+|4000+|gpu:1\nbroken\n|||\n") == (Shape(partition="gpu", cpus=4, mem_mb=4000, gpus=1),)


def limits(site, associations="", qos="", wanted=None, max_array=""):
    return read_limits(site, associations=associations, qos=qos, wanted=wanted or {}, max_array=max_array)


def test_limits_of_a_real_cluster(site):
    found = limits(site, recorded("sacctmgr_assoc"), recorded("sacctmgr_qos"))
    assert found == Limits(max_array_size=1001, max_submit=None, partition_limit_min=1440.0, node_mem_gb=4000 / 1024, nodes=4)


@pytest.mark.parametrize(
    ("config", "max_array", "expected"),
    [
        ({"MaxArraySize": "1001"}, "", 1001),  # the largest index is 1000
        ({"MaxArraySize": "1001", "SchedulerParameters": "a=1,max_array_tasks=500"}, "", 500),
        ({"MaxArraySize": "1001"}, "7", 7),
        ({"MaxArraySize": "1001"}, "9999", 1001),
        ({"MaxArraySize": "1001"}, "many", 1001),
        ({"MaxArraySize": "0"}, "", 0),
        ({}, "", 1001),
    ],
)
def test_the_size_of_an_array_is_the_least_of_all_bounds(config, max_array, expected):
    assert limits(Site(config=config), max_array=max_array).max_array_size == expected


@pytest.mark.parametrize(
    ("associations", "qos", "wanted", "expected"),
    [
        ("lab|||500|", "normal|||", {}, 500),
        ("lab|||500|300", "normal|||", {}, 300),
        ("lab||||\nother|||20|", "normal|||", {"account": "lab"}, None),
        ("lab|gpu||10|\nlab|||90|", "", {"partition": "high"}, 90),
        ("lab||long||", "normal|5||\nlong|40||", {}, 40),
        ("lab||long||", "normal|5||\nlong|40||", {"qos": "normal"}, 5),
        ("lab||||", "normal||7|", {}, 7),
        ("", "", {}, None),
    ],
)
def test_tasks_in_the_queue_are_bounded_by_association_and_qos(associations, qos, wanted, expected):
    site = Site(partitions=(Partition(name="gpu", is_default=True), Partition(name="high")))
    assert limits(site, associations, qos, wanted).max_submit == expected


def test_limits_that_the_cluster_does_not_enforce_do_not_count():
    assert limits(Site(config={"AccountingStorageEnforce": "none"}), "lab|||5|").max_submit is None
    assert limits(Site(config={"AccountingStorageEnforce": "associations,limits"}), "lab|||5|").max_submit == 5


@pytest.mark.parametrize(
    ("resources", "wanted", "words"),
    [
        ({}, {"partition": "gpuu"}, ["p.sh:3", "'gpuu'", "Did you mean gpu?"]),
        ({"mem_gb": 16}, {}, ["resources.mem_gb is 16", "3.9"]),
        ({"gpus": 3}, {}, ["resources.gpus is 3", "more than 2"]),
        ({"cpus": 5}, {}, ["resources.cpus is 5", "more than 4"]),
        ({"nodes": 99}, {}, ["resources.nodes is 99", "at most 4"]),
        ({"time_min": 1441}, {"partition": "gpu,high"}, ["resources.time_min is 1441", "1440"]),
    ],
)
def test_what_no_node_can_give_is_refused_with_the_largest_there_is(site, resources, wanted, words):
    with pytest.raises(ProfileError) as error:
        refuse_impossible(site, Resources(**({"mem_gb": 1} | resources)), wanted=wanted, where="p.sh:3")
    assert all(word in str(error.value) for word in words), error.value


def test_a_refusal_names_the_key_of_resources_or_none_when_the_profile_is_at_fault(site):
    cases = [
        (Resources(mem_gb=16), {}, "mem_gb"),
        (Resources(sbatch=(("partition", "x"),)), {"partition": "x"}, "sbatch.partition"),
        (Resources(), {"partition": "x"}, ""),
    ]
    for resources, wanted, key in cases:
        with pytest.raises(ProfileError) as error:
            refuse_impossible(site, resources, wanted=wanted, where="")
        assert error.value.key == key


def test_the_nodes_of_a_job_are_bounded_by_the_partition():
    assert read_partitions("PartitionName=p TotalNodes=9 MaxNodes=2\n")[0].nodes == 2
    assert read_partitions("PartitionName=p TotalNodes=9 MaxNodes=UNLIMITED\n")[0].nodes == 9
    assert read_partitions("PartitionName=p\n")[0].nodes is None


def test_what_fits_on_no_single_node_is_refused():
    shapes = (Shape(partition="p", cpus=64, mem_mb=4000, gpus=0), Shape(partition="p", cpus=4, mem_mb=64000, gpus=4))
    site = Site(partitions=(Partition(name="p", is_default=True),), shapes=shapes)
    refuse_impossible(site, Resources(cpus=4, gpus=4, mem_gb=60), wanted={}, where="")
    with pytest.raises(ProfileError, match="no single node"):
        refuse_impossible(site, Resources(cpus=8, gpus=1), wanted={}, where="")


@pytest.mark.parametrize("resources", [{"mem_gb": 0.1}, {"gpus": 2, "cpus": 4, "mem_gb": 3.9, "time_min": 1440, "nodes": 4}])
def test_what_a_node_has_is_not_refused(site, resources):
    refuse_impossible(site, Resources(**resources), wanted={}, where="")


def test_a_partition_that_is_down_is_refused(site):
    site = Site(partitions=(Partition(name="gpu", is_up=False), Partition(name="high", is_default=True)))
    with pytest.raises(ProfileError, match="down"):
        refuse_impossible(site, Resources(), wanted={"partition": "gpu"}, where="")


def test_a_cluster_that_shows_nothing_refuses_nothing():
    refuse_impossible(Site(), Resources(gpus=9, mem_gb=9e9), wanted={"partition": "x"}, where="")
