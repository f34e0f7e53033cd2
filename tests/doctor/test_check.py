"""The probe's judgement, and the node's side of it, without a node."""

from __future__ import annotations

import os

import msgspec
import pytest

from orchestrator.cluster.profile import parse_profile
from orchestrator.doctor.facts import Seen, judge
from orchestrator.doctor.node import PRIZES, Report, compete, memory_limit
from orchestrator.doctor.node import ProbePaths as Paths

HALF = PRIZES // 2
REPORT = Report(
    host="n1", user=os.getuid(), python="python 3.11", cgroup="cgroup/v2", mem_limit_mb=512.0, filesystem="nfs4", tmp="/tmp", tmp_free_gb=9,
    locked=True,
)  # fmt: skip
DONE = msgspec.structs.replace(REPORT, done=True, won=tuple(range(HALF)))
SEEN = Seen(waited_s=3, there_and_back_s=0.2, lock_held=True, won=tuple(range(HALF, PRIZES)), done=DONE)


def facts(report=None, seen=None, profile="#MRSWEEP visible_s=120\n"):
    read = parse_profile(profile, name="p", path="p.sh")
    changed = msgspec.structs.replace(REPORT, **(report or {})), msgspec.structs.replace(SEEN, **(seen or {}))
    return {fact.name: fact for fact in judge(*changed, read)}


def unwell(**changes):
    return {name: fact.verdict.value for name, fact in facts(**changes).items() if fact.verdict.value != "ok"}


def test_a_node_on_which_all_works_has_nothing_to_note():
    assert unwell() == {}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"report": {"user": os.getuid() + 1}}, {"user on the node": "bad"}),
        ({"report": {"missing": ("torch",)}}, {"packages on the node": "note"}),
        ({"report": {"locked": False}}, {"locks": "note"}),
        ({"seen": {"lock_held": False}}, {"locks": "note"}),
        ({"report": {"mem_limit_mb": None}}, {"memory on the node": "note"}),
        ({"report": {"mem_limit_mb": 16000.0}}, {"memory on the node": "note"}),
        ({"report": {"tmp_free_gb": 0.1}}, {"TMPDIR on the node": "note"}),
        ({"seen": {"there_and_back_s": None}}, {"files both ways": "bad"}),
        ({"seen": {"there_and_back_s": 130.0}}, {"files both ways": "note"}),
        ({"seen": {"clock_ahead_s": -3600.0}}, {"clock of the node": "note"}),
        ({"seen": {"done": None}}, {"rename": "bad"}),
        ({"seen": {"won": tuple(range(HALF - 1, PRIZES))}}, {"exclusive creation": "bad"}),  # one has two creators
        ({"seen": {"won": tuple(range(HALF + 1, PRIZES))}}, {"exclusive creation": "bad"}),  # one has none
    ],
)
def test_what_is_wrong_between_host_and_node_is_told_with_a_way_out(changes, expected):
    assert unwell(**changes) == expected
    assert all(facts(**changes)[name].advice for name in expected)


def test_a_local_worker_is_not_held_to_a_memory_limit():
    assert "memory on the node" not in facts(profile="#MRSWEEP scheduler=local\n")


def test_two_sides_never_both_create_a_file(tmp_path):
    paths = Paths(tmp_path)
    first, second = compete(paths, range(5)), compete(paths, range(PRIZES - 1, -1, -1))
    assert set(first) | set(second) == set(range(PRIZES))
    assert set(first) & set(second) == set()


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        ("4:memory:/slurm/job_7/step\n0::/x\n", {"memory/slurm/job_7/memory.limit_in_bytes": "104857600"}, ("cgroup/v1", 100.0)),
        (
            "4:memory:/a/b\n",
            {"memory/a/memory.limit_in_bytes": "9223372036854771712", "memory.limit_in_bytes": "4096"},
            ("cgroup/v1", None),
        ),
        ("0::/a/b\n", {"a/memory.max": "209715200", "a/b/memory.max": "max"}, ("cgroup/v2", 200.0)),
        ("0::/a/b\n", {"a/memory.max": "209715200", "a/b/memory.max": "104857600"}, ("cgroup/v2", 100.0)),
        ("0::/\n", {}, ("cgroup/v2", None)),
        ("", {}, ("", None)),
    ],
)
def test_the_least_memory_limit_above_a_process_counts(tmp_path, groups, files, expected):
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    assert memory_limit(groups, tmp_path) == expected
