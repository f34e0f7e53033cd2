"""Profiles: what is read from the files, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.cluster.profile import Option, known_profiles, load_profile, parse_profile
from orchestrator.store.errors import ProfileError


def profile(text: str):
    return parse_profile(text, name="mine", path="mine.sh")


def test_a_profile_holds_options_constants_and_setup_lines():
    head = "#!/bin/bash\n# words\n#SBATCH --partition=gpu -A lab\n#MRSWEEP poll_s=5 gpu=gpus # why\n"
    read = profile(f"{head}module load cuda\n\n  export A='b c'\n")
    assert read.options == (Option(name="partition", value="gpu", line=3), Option(name="account", value="lab", line=3))
    assert (read.poll_s, read.gpu) == (5.0, "gpus")
    assert read.setup == ("module load cuda", "  export A='b c'")


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("--partition=gpu", "partition", "gpu"),
        ("--partition gpu", "partition", "gpu"),
        ("-p gpu", "partition", "gpu"),
        ("-pgpu", "partition", "gpu"),
        ("-C 'a100|h100&nvlink'", "constraint", "a100|h100&nvlink"),
        ("--exclude=node[07,13-15] # broken", "exclude", "node[07,13-15]"),
        ("--exclusive", "exclusive", ""),
        ("--requeue", "requeue", ""),
    ],
)
def test_an_option_is_read_in_every_form_that_sbatch_takes(line, name, value):
    assert profile(f"#SBATCH {line}\n").options == (Option(name=name, value=value, line=1),)


def test_of_a_repeated_option_the_last_one_counts():
    assert profile("#SBATCH -p a\n#SBATCH -p b\n").option("partition").value == "b"


def test_a_line_that_is_commented_out_is_not_read():
    assert profile("##SBATCH --partition=gpu\n##MRSWEEP workers=2\n# module load x\n") == profile("")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("#MRSWEEP pol_s=5", ["mine.sh:1", "'pol_s'", "Did you mean poll_s?"]),
        ("\n#MRSWEEP poll_s=soon", ["mine.sh:2", "poll_s is 'soon'"]),
        ("#MRSWEEP poll_s=-1", ["poll_s is -1"]),
        ("#MRSWEEP poll_s=nan", ["poll_s is nan"]),
        ("#MRSWEEP poll_s=1e999", ["finite"]),
        ("#MRSWEEP workers=1.5", ["workers is '1.5'"]),
        ("#MRSWEEP poll_s = 5", ["cannot read 'poll_s'"]),
        ("#MRSWEEP path=/etc/passwd", ["'path'"]),
        ("#MRSWEEP scheduler=pbs", ["mine.sh:1", "scheduler is 'pbs'", "Known: local, slurm"]),
        ("\n#MRSWEEP scheduler=slum", ["mine.sh:2", "scheduler is 'slum'", "Did you mean slurm?"]),
        ("#MRSWEEP gpu=gre", ["mine.sh:1", "gpu is 'gre'", "Did you mean gres?"]),
        ("#SBATCH partition", ["mine.sh:1", "'partition'"]),
        ("#SBATCH --comment='a b'", ["comment is 'a b'"]),
        ("#SBATCH --comment='$(rm)'", ["comment is '$(rm)'"]),
        ("#SBATCH --comment='open", ["quotes"]),
        ("#SBATCH --partition=gpu\r", ["'\\r'"]),
        ("module load\x1b[31m", ["'\\x1b'"]),
        ("export A=\u202eb", ["\u202e".__repr__()]),
        ("#MRSWEEP scheduler=local\n#SBATCH -p gpu", ["mine.sh:2", "no #SBATCH lines"]),
        ("#MRSWEEP scheduler=local\nmodule load x", ["'module load x'"]),
    ],
)
def test_a_line_that_cannot_be_used_is_named(text, words):
    with pytest.raises(ProfileError) as error:
        profile(text)
    assert all(word in str(error.value) for word in words), error.value
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["local", "slurm-gpu", "slurm-cpu", "slurm-test"])
def test_the_shipped_profiles_can_be_read(name):
    assert load_profile(name).name == name


def test_the_commented_template_can_be_read_once_it_is_copied(tmp_path):
    shipped = Path(load_profile("local").path).with_name("slurm-site.example")
    copy = tmp_path / "my site's.sh"
    copy.write_text(shipped.read_text())
    read = load_profile(str(copy))
    assert [option.name for option in read.options] == ["partition", "account", "qos", "requeue"]
    assert read.poll_s == 60


def test_a_profile_of_the_project_comes_before_one_of_the_user_and_ours(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for folder in (tmp_path / "config" / "mrsweep", tmp_path / "slurm_templates"):
        folder.mkdir(parents=True)
        (folder / "local.sh").write_text("#MRSWEEP scheduler=local workers=7\n")
        assert load_profile("local").path.endswith("local.sh")
    (tmp_path / "config" / "mrsweep" / "own.sh").write_text("")
    assert known_profiles()["local"] == Path("slurm_templates/local.sh")
    assert load_profile("own").scheduler == "slurm"


ODD_NAMES = ["slurm-gpo", "", "no/such/file.sh", "file.sh", "../local", "a\0/b", "a\nb", "$(id)", "\u202ex", "x" * 300]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_an_unknown_profile_is_refused_in_one_line(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ProfileError) as error:
        load_profile(name)
    assert "\n" not in str(error.value)
    if name == "slurm-gpo":
        assert "Did you mean slurm-gpu?" in str(error.value)


def test_a_profile_given_by_path_is_found_again_from_any_folder(tmp_path, monkeypatch):
    (tmp_path / "mine.sh").write_text("#SBATCH --partition=gpu\n")
    monkeypatch.chdir(tmp_path)
    name = load_profile("./mine.sh").name
    monkeypatch.chdir("/")
    assert load_profile(name).option("partition").value == "gpu"
