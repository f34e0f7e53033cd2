"""Who decides an option of sbatch, and what is said about it."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.cluster.options import grant, origins, refuse_odd_text
from orchestrator.cluster.profile import parse_profile
from orchestrator.cluster.resources import Resources
from orchestrator.cluster.scheduler import ArrayRequest
from orchestrator.store.errors import InputError, ProfileError


def granted(text: str, **resources):
    return grant(parse_profile(text, name="p", path="p.sh"), Resources(**resources))


def test_every_option_knows_where_it_was_written():
    profile = parse_profile("#SBATCH -A lab\n#SBATCH -p a\n#SBATCH -p b\n#SBATCH -q long\n", name="p", path="p.sh")
    assert origins(profile, Resources(sbatch=(("qos", "short"),))) == {
        "account": "account=lab in p.sh:1",
        "partition": "partition=b in p.sh:3",
        "qos": "qos=short in resources.sbatch",
    }


def test_resources_become_options():
    options, notes = granted("", gpus=2, cpus=8, mem_gb=31.5, time_min=90.2)
    assert options == {"nodes": "1", "cpus-per-task": "8", "mem": "32256M", "time": "91", "gres": "gpu:2"}  # 31.5 x 1024
    assert notes == ()


@pytest.mark.parametrize(
    ("text", "gpus", "option"),
    [
        ("", 0, {}),
        ("", 1, {"gres": "gpu:1"}),
        ("#MRSWEEP gpu_type=a100", 2, {"gres": "gpu:a100:2"}),
        ("#MRSWEEP gpu=gpus gpu_type=a100", 2, {"gpus-per-node": "a100:2"}),
        ("#MRSWEEP gpu=none", 1, {}),
        ("#SBATCH --gres=lscratch:100", 1, {"gres": "lscratch:100,gpu:1"}),
        ("#SBATCH --gres=lscratch:100,gpu:tesla:4", 0, {"gres": "lscratch:100"}),
        ("#SBATCH --gres=gpu:4", 0, {}),
    ],
)
def test_gpus_are_asked_for_as_the_profile_says(text, gpus, option):
    options, _ = granted(text, gpus=gpus)
    assert {name: options[name] for name in ("gres", "gpus-per-node") if name in options} == option


@pytest.mark.parametrize(
    ("line", "by"),
    [
        ("--time=99", "resources.time_min=60.0"),
        ("--mem-per-cpu=9G", "resources.mem_gb=2.0"),
        ("--gpus=3", "resources.gpus=0"),
        ("--gres=gpu:1", "resources.gpus=0"),
        ("--job-name=mine", "mrsweep"),
        ("--array=0-9", "mrsweep"),
        ("--ntasks=4", "mrsweep"),
        ("--signal=TERM@9", "mrsweep"),
    ],
)
def test_an_overruled_line_of_the_profile_is_told(line, by):
    options, notes = granted(f"\n#SBATCH {line}")
    assert len(notes) == 1
    assert notes[0].startswith(f"p.sh:2: {line}") and by in notes[0]
    assert options == granted("")[0]


def test_options_of_the_run_overrule_the_profile_and_that_is_told():
    options, notes = granted("#SBATCH --partition=a --qos=normal", sbatch=(("partition", "b"),))
    assert (options["partition"], options["qos"]) == ("b", "normal")
    assert notes == ("p.sh:1: --partition=a is overruled by resources.sbatch: partition=b",)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("mem", "9G", "Write resources.mem_gb"),
        ("gres", "gpu:1", "resources.gpus"),
        ("dependency", "afterok:1", "mrsweep sets it"),
        ("comment", "a\n#SBATCH --uid=0", "comment"),
        ("comment", "$(id)", "comment"),
        ("comment", "it's", "comment"),
        ("constraint\n", "a", "constraint"),
        ("--constraint", "a", "--constraint"),
        ("wrap", "id", "mrsweep sets it"),
    ],
)
def test_an_option_of_the_run_that_cannot_stand_there_is_refused(name, value, words):
    with pytest.raises(ProfileError, match=r"resources\.sbatch") as error:
        granted("", sbatch=((name, value),))
    assert words in str(error.value)
    assert error.value.key == f"sbatch.{name}"
    assert "\n" not in str(error.value)


def request(**changes):
    values = {"token": "t", "tasks": 1, "throttle": 1, "folder": Path("/runs/t"), "command": ("python",), "resources": Resources()}
    return ArrayRequest(**(values | changes))


@pytest.mark.parametrize("folder", ['/runs/it\'s 100% "mine" $(id) `id`', "/runs/\u00fc\u4e2d"])
def test_a_path_that_quotes_can_hold_is_allowed(folder):
    refuse_odd_text(request(folder=Path(folder)))


@pytest.mark.parametrize(
    "changes",
    [
        {"token": "a b"},
        {"token": "../x"},
        {"token": "a\n"},
        {"token": ""},
        {"token": "x" * 300},
        {"token": "\u202ex"},
        {"folder": Path("/runs/a\nb")},
        {"folder": Path("/runs/a\\b")},
        {"folder": Path("/runs/\u202eb")},
        {"command": ("python", "a\tb")},
        {"command": ("python", "a\0b")},
        {"tasks": 0},
        {"throttle": 0},
    ],
)
def test_odd_text_never_gets_near_a_script(changes):
    with pytest.raises(InputError) as error:
        refuse_odd_text(request(**changes))
    assert str(error.value).isprintable()
