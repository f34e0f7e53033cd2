"""Strict YAML: words and numbers of YAML 1.2, no duplicates, no tags, no bombs, and a place for every value."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from orchestrator.grid.loading import MAX_DEPTH, REMOVE, load_file, load_text, plain
from orchestrator.store.errors import SpecError

SCALARS = [
    ("1e-4", 1e-4),
    ("1E5", 1e5),
    ("-.5", -0.5),
    ("7.", 7.0),
    ("010", 10),
    ("+3", 3),
    ("no", "no"),
    ("on", "on"),
    ("y", "y"),
    ("off", "off"),
    ("True", True),
    ("~", None),
    ("", None),
    ("1_000", "1_000"),
    ("12:30:00", "12:30:00"),
    ("0x1f", "0x1f"),
    ("0o17", "0o17"),
    ("2024-01-01", "2024-01-01"),
    ("'1'", "1"),
    ('"true"', "true"),
    ("1.2.3", "1.2.3"),
    ("e5", "e5"),
    (".inf", math.inf),
    ("-.INF", -math.inf),
    ("=", "="),
]


@pytest.mark.parametrize(("text", "value"), SCALARS)
def test_scalars_mean_what_yaml_1_2_says(text: str, value: object) -> None:
    got = plain(load_text(f"a: {text}", "f"))["a"]
    assert got == value
    assert type(got) is type(value)


def test_not_a_number_is_a_float() -> None:
    assert math.isnan(plain(load_text("a: .nan", "f"))["a"])


def test_every_value_knows_its_file_and_line() -> None:
    node = load_text("a: 1\nb:\n  c: 2\n  d:\n    - 3\n    - 4\n", "my file.yaml")
    assert str(node.value["b"].value["c"].mark) == "my file.yaml:3"
    assert str(node.value["b"].value["d"].mark) == "my file.yaml:4"
    assert str(node.value["b"].value["d"].value[1].mark) == "my file.yaml:6"


def test_remove_is_the_only_tag() -> None:
    assert load_text("a: !remove", "f").value["a"].value is REMOVE


def test_keys_in_two_unicode_forms_are_one_key() -> None:
    with pytest.raises(SpecError, match="written twice"):
        load_text("é: 1\ne\u0301: 2", "f")


def test_an_alias_stands_for_its_anchor() -> None:
    assert plain(load_text("a: &x [1, 2]\nb: *x", "f")) == {"a": [1, 2], "b": [1, 2]}


BOMB = "a: &a [1,1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 10)}]\n" for i in range(9)
)

REFUSED = [
    ("a: 1\nb: 2\na: 3\n", 3, "twice"),
    ("a: {b: 1, b: 2}", 1, "twice"),
    ("a: !!python/object/apply:os.system [ls]", 1, "tag"),
    ("a: !!str 5", 1, "tag"),
    ("a: ! 5", 1, "tag"),
    ("a: !remove 5", 1, "no value"),
    ("a: &x [*x]", 1, "contains it"),
    ("a: *nowhere", 1, "no anchor"),
    ("base: {x: 1}\na:\n  <<: {x: 1}\n", 3, "<<"),
    ("a: {optim.lr}", 1, "quote"),
    ("a: [1\nb: 2", 2, "not valid YAML"),
    ("a: b: c", 1, "not valid YAML"),
    ("a: 1\n---\nb: 2\n", 2, "second document"),
    ("a: 99999999999999999999", 1, "64 bits"),
    ("a: 1e999", 1, "larger than any double"),
    ("? [a]\n: 1", 1, "plain text"),
    ("a: \x01", 1, "which YAML does not allow"),
    ("a: " + "[" * (MAX_DEPTH + 2) + "]" * (MAX_DEPTH + 2), 1, "deeper"),
    (BOMB, None, "aliases counted out"),
]


@pytest.mark.parametrize(("text", "line", "problem"), REFUSED)
def test_what_is_not_strict_yaml_is_refused_with_its_line(text: str, line: int | None, problem: str) -> None:
    with pytest.raises(SpecError, match=problem) as caught:
        load_text(text, "g.yaml")
    assert str(caught.value).startswith(f"g.yaml:{line}: " if line else "g.yaml")
    assert "\n" not in str(caught.value)


def test_a_hundred_thousand_brackets_end_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "deep.yaml").write_text("[" * 100_000)
    with pytest.raises(SpecError, match="deeper"):
        load_file(tmp_path / "deep.yaml")


@pytest.mark.parametrize(("content", "problem"), [(b"a: 1\nb: \xff\n", ":2: is not UTF-8"), (b"\xef\xbb\xbfa: 1", "")])
def test_files_are_utf_8_with_or_without_a_byte_order_mark(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "it's a grid.yaml"
    path.write_bytes(content)
    if not problem:
        assert plain(load_file(path)) == {"a": 1}
        return
    with pytest.raises(SpecError, match=problem):
        load_file(path)


def test_missing_files_and_folders_are_named(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing.yaml", tmp_path):
        with pytest.raises(SpecError, match=f"{path}: cannot be read"):
            load_file(path)
