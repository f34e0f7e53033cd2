"""`notify:` in a grid file: what it may say, that it changes no run, and that no address gets into a message about it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.grid.build import build_manifests
from orchestrator.grid.freeze import frozen_text
from orchestrator.grid.manifest import Manifest
from orchestrator.grid.notify_shape import WORDS, Notify
from orchestrator.grid.spec import Spec, read_spec
from orchestrator.store.errors import SpecError

DIGEST, EACH = ("start", "failures", "breaker", "end"), ("start", "each", "breaker", "end")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("notify: off", None),
        ("notify: digest", Notify(on=DIGEST, every_min=30, to=())),
        ("notify: each", Notify(on=EACH)),
        ("notify: {}", Notify()),
        (
            "notify: {on: [breaker, end, end], every_min: 2.5, to: [lab, my-phone_2]}",
            Notify(on=("breaker", "end"), every_min=2.5, to=("lab", "my-phone_2")),
        ),
        ("notify: {on: end, to: lab}", Notify(on=("end",), to=("lab",))),
    ],
)
def test_what_is_told_is_a_word_or_a_mapping(read: Callable[..., Spec], text: str, expected: Notify | None) -> None:
    assert read(text).notify == expected


def test_a_variant_and_set_override_single_keys(read: Callable[..., Spec]) -> None:
    text = "notify: {on: [end], to: [lab]}\nvariants:\n  smoke: {notify: off}\n  often: {notify: {every_min: 5}}"
    assert read(text, variant="smoke").notify is None
    assert read(text, variant="often").notify == Notify(on=("end",), every_min=5, to=("lab",))
    assert read(text, overrides=["notify.to=[me]"]).notify == Notify(on=("end",), to=("me",))


def test_it_changes_no_run_and_is_frozen(read: Callable[..., Spec], tmp_path: Path) -> None:
    def ids(spec: Spec) -> list[str]:
        made = build_manifests(spec, schema=None, version=1, resolve_need=lambda query: None)
        return [one.id for one in made if isinstance(one, Manifest)]

    grid = "\nconfig: {x: 1}\ngrid: {seed: [1, 2]}"
    with_it = read("notify: {every_min: 5}" + grid)
    assert ids(with_it) == ids(read(grid))
    (tmp_path / "frozen.yaml").write_text(frozen_text(with_it))
    assert read_spec(tmp_path / "frozen.yaml").notify == Notify(every_min=5)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("notify: {onn: [end]}", ["notify.onn", "['end']", "Did you mean on?"]),
        ("notify: {on: [ends]}", ["notify.on", "'ends'", "Did you mean end?"]),
        ("notify: {on: []}", ["notify.on", "[]", "notify: off"]),
        ("notify: {on: 3}", ["notify.on", "3", "Known: breaker, each, end"]),
        ("notify: {every_min: 0}", ["notify.every_min", "0", "Write every_min: 30"]),
        ("notify: {every_min: 5m}", ["notify.every_min", "'5m'", "Write every_min: 30"]),
        ("notify: {every_min: true}", ["notify.every_min", "True", "Write every_min: 30"]),
        ("notify: {every_min: .inf}", ["notify.every_min", "inf", "Write every_min: 30"]),
        ("notify: {to: [my lab]}", ["notify.to", "'my lab'", "Write to: [lab]"]),
        ("notify: {to: [3]}", ["notify.to", "3", "Write to: [lab]"]),
        ("notify: {to: []}", ["notify.to", "[]", "notify: off"]),
        ("notify: often", ["notify", "'often'", "digest, each, off", "Write notify: digest"]),
        ("notify: [end]", ["notify", "['end']", "Write notify: digest"]),
        ("notify: true", ["notify", "True", "Write notify: digest"]),
    ],
)
def test_a_mistake_is_told_with_its_line_and_the_way_out(write: Callable[..., Path], text: str, named: list[str]) -> None:
    path = write(text)
    with pytest.raises(SpecError) as raised:
        read_spec(path)
    told = str(raised.value)
    assert told.startswith(f"{path}:3: ")
    assert [part for part in named if part not in told] == []


@pytest.mark.parametrize(
    "text",
    [
        "notify: mailto://me:hunter2@example.org",
        "notify: {to: ['mailtos://me:hunter2@example.org']}",
        "notify: {to: 'slack://hunter2/b/c'}",
        "notify: {'ntfy://hunter2': 1}",
        "notify: {url: 'json://example.org/hunter2'}",
        "notify: {on: [{deep: 'me:hunter2@example.org'}]}",
    ],
)
def test_an_address_is_refused_and_not_repeated(write: Callable[..., Path], text: str) -> None:
    path = write(text)
    with pytest.raises(SpecError) as raised:
        read_spec(path)
    told = str(raised.value)
    assert told.startswith(f"{path}:3: notify holds an address (")
    assert "hunter2" not in told and "example.org" not in told
    assert "~/.config/mrsweep/notify (chmod 600)" in told and "to: [lab]" in told


def test_an_address_of_set_is_not_repeated_either(write: Callable[..., Path]) -> None:
    with pytest.raises(SpecError) as raised:
        read_spec(write(""), overrides=["notify.to=[mailto://me:hunter2@example.org]"])
    assert str(raised.value).startswith("--set notify.to=…: notify holds an address (mailto://…)")
    assert "hunter2" not in str(raised.value)
    assert read_spec(write("notify: digest"), overrides=["notify=off"]).notify is None


def test_every_word_stands_for_known_kinds() -> None:
    assert {"digest": DIGEST, "each": EACH, "off": ()} == WORDS
