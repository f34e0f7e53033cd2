"""Where messages go: the environment, or a file that only its owner can read; errors repeat nothing of an address."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.messages.addresses import Target, choose_targets, parse_targets, read_targets
from orchestrator.store.errors import InputError
from tests.messages.conftest import PASSWORD

MAIL = f"mailtos://me:{PASSWORD}@mail.example.org?to=lab@example.org"
HOOK = f"json://{PASSWORD}@example.org/hook#part"


def keep(folder: Path, text: str, mode: int = 0o600) -> dict[str, str]:
    """Write the file of addresses; return an environment that leads to it."""
    file = folder / "mrsweep" / "notify"
    file.parent.mkdir()
    file.write_text(text)
    file.chmod(mode)
    return {"XDG_CONFIG_HOME": str(folder)}


def test_a_line_names_an_address_or_leaves_it_to_its_number(tmp_path: Path) -> None:
    found = read_targets(keep(tmp_path, f"# mine\nlab {MAIL}\n\n  {HOOK}\n"))
    assert found == (Target("lab", MAIL), Target("2", HOOK))


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    environ = keep(tmp_path, f"lab {MAIL}\n")
    assert read_targets(environ | {"MRSWEEP_NOTIFY": f"hook {HOOK}\n{MAIL}"}) == (Target("hook", HOOK), Target("2", MAIL))
    assert read_targets(environ | {"MRSWEEP_NOTIFY": "  "}) == (Target("lab", MAIL),)


PIPE = """
import sys
from orchestrator.messages.addresses import read_targets
from orchestrator.store.errors import InputError
try:
    read_targets({"XDG_CONFIG_HOME": sys.argv[1]})
except InputError as error:
    print(error)
"""


def test_a_named_pipe_in_place_of_the_file_is_refused_and_keeps_nobody(tmp_path: Path) -> None:
    file = tmp_path / "mrsweep" / "notify"
    file.parent.mkdir()
    os.mkfifo(file, 0o600)
    done = subprocess.run([sys.executable, "-c", PIPE, tmp_path], capture_output=True, text=True, timeout=60)
    assert done.stdout == f"{file}: is not a file of your own, so it is not read. Write one yourself.\n", done.stderr


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_file_that_others_can_read_is_refused_with_the_way_out(tmp_path: Path, mode: int) -> None:
    environ = keep(tmp_path, f"lab {MAIL}\n", mode)
    with pytest.raises(InputError) as raised:
        read_targets(environ)
    file = tmp_path / "mrsweep" / "notify"
    assert str(raised.value) == f"{file}: others can read it, and it holds passwords. Type: chmod 600 {file}"


def test_what_is_no_file_of_ones_own_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environ = keep(tmp_path, f"lab {MAIL}\n")
    monkeypatch.setattr(os, "getuid", lambda: 4711)
    with pytest.raises(InputError, match="not a file of your own"):
        read_targets(environ)


def test_no_address_is_told_with_the_file_and_the_variable(tmp_path: Path) -> None:
    with pytest.raises(InputError) as raised:
        read_targets({"XDG_CONFIG_HOME": str(tmp_path)})
    assert str(tmp_path / "mrsweep" / "notify") in str(raised.value)
    assert "MRSWEEP_NOTIFY" in str(raised.value) and "chmod 600" in str(raised.value)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["lab"], "the last word has no address"),
        (["lab", "other", MAIL], "word 2 is neither"),
        ([PASSWORD + "!", MAIL], "word 1 is neither"),
        (["lab", MAIL, "lab", HOOK], "two addresses have the name lab"),
        ([MAIL.replace("://", ":")], "word 1 is neither"),
    ],
)
def test_what_is_no_address_is_told_by_its_place_alone(words: list[str], told: str) -> None:
    with pytest.raises(InputError, match=told) as raised:
        parse_targets(words, "place")
    assert PASSWORD not in str(raised.value) and "example.org" not in str(raised.value)


def test_a_grid_names_some_addresses_or_means_all() -> None:
    both = (Target("lab", MAIL), Target("hook", HOOK))
    assert choose_targets(both, ()) == both
    assert choose_targets(both, ("hook",)) == both[1:]
    with pytest.raises(InputError, match=r"notify.to names labb.*Did you mean lab\?"):
        choose_targets(both, ("labb",))


def test_a_name_that_nobody_knows_keeps_nothing_from_the_others() -> None:
    known, unknown = choose_targets((Target("lab", MAIL), Target("hook", HOOK)), ("hook", "labb"))
    assert known == Target("hook", HOOK)
    assert (unknown.name, unknown.url) == ("labb", "")
    assert unknown.problem.startswith("notify.to names labb, and no address has this name.") and "lab" in unknown.problem


def test_an_address_shows_in_no_repr() -> None:
    assert PASSWORD not in repr(Target("lab", MAIL))
