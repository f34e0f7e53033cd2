"""Reads a grid file into a Spec: everything checked that can be checked without computing a single config.

The order of things: load (strict YAML) → choose the variant → read base and csv files in → walk the cases, each laid
over its parent → lay the variant and --set over every leaf → check what concerns all leaves.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

from orchestrator.cluster.resources import Pack, Resources
from orchestrator.grid import settings as settings_of
from orchestrator.grid.inline import inline_files
from orchestrator.grid.leaf import Leaf, check_conditions, make_leaf
from orchestrator.grid.levels import SECTIONS, Level, check_level, lay_over, read_cases
from orchestrator.grid.loading import REMOVE, Mark, Node, load_text, read_text, show
from orchestrator.grid.notify_shape import Notify
from orchestrator.grid.objective import Objective
from orchestrator.grid.overrides import merged, parse_override, with_cases
from orchestrator.grid.settings import read_settings, text_value
from orchestrator.store.errors import ProfileError, SpecError, did_you_mean, told_at
from orchestrator.store.layout import GRID_NAME

MAX_PARALLEL = 64
"""Runs at once, unless resources.max_parallel says otherwise."""

_TOP = ("name", *settings_of.KEYS, *SECTIONS, "variants", "variant", "set")


@dataclass(frozen=True, kw_only=True)
class Spec:
    """A grid file, read and checked."""

    name: str
    variant: str | None
    source: Path
    """The file it was read from."""
    question: str
    """The comment that opens the file, without its #."""
    entry: str | None
    """module:function, or None for a command."""
    command: str | None
    """The command as it is written, placeholders included, or None for an entry."""
    schema: str | None
    """module:Class, or None."""
    runtime: tuple[str, ...]
    """Dotted keys that do not change the science: not part of the id."""
    max_parallel: int
    """Runs at once."""
    pack: Pack
    policy: dict[str, Any]
    notify: Notify | None
    """What is told; None: nothing."""
    objective: Objective | None
    preload: tuple[str, ...]
    start: str
    """fork or spawn."""
    code: str
    """snapshot or none."""
    signal: str
    """The signal that warns a command, without SIG; empty: none."""
    keep_env: tuple[str, ...]
    leaves: tuple[Leaf, ...]
    """The products of axes; their points in this order are the grid."""
    document: Node
    """The grid file with base files, csv columns, the variant and --set in it: what is frozen."""

    @property
    def target(self) -> str:
        """What computes a run, as it enters the id: entry or command."""
        return self.entry or self.command or ""

    def place(self, section: str) -> Mark:
        """Return where a section of the file was written, for messages."""
        layers = [*_layers(self.document)][::-1]
        found = (level.value[section].mark for level in [*layers, self.document] if section in level.value)
        return next(found, Mark(str(self.source)))

    def place_of_resources(self, resources: Resources, key: str) -> Mark:
        """Return where the value of a key of `resources` was written that some run got; the section where it was not written."""
        setting = [leaf.resources for leaf in self.leaves if key in leaf.resources.nodes]
        fitting = [rules for rules in setting if rules.gave(resources)] or setting
        return fitting[0].nodes[key].mark if fitting else self.place("resources")

    @contextmanager
    def telling(self, resources: Resources) -> Iterator[None]:
        """Put the line that is at fault before a ProfileError about a key of `resources` that is raised inside."""
        try:
            yield
        except ProfileError as error:
            if not error.key:
                raise
            with told_at(self.place_of_resources(resources, error.key)):
                raise

    @property
    def has_needs(self) -> bool:
        """Say whether some runs start from results of other runs."""
        return any(leaf.needs for leaf in self.leaves)

    @property
    def keys(self) -> list[str]:
        """Every dotted key that the file sets or varies."""
        return list(dict.fromkeys(key for leaf in self.leaves for key in leaf.keys))

    @property
    def varying(self) -> list[str]:
        """Keys that are varied by an axis, or set by a case: the columns of tables."""
        axes = (key for leaf in self.leaves for bundle in leaf.bundles for key in bundle.keys)
        return list(dict.fromkeys([*axes, *(key for leaf in self.leaves for key in leaf.case_keys)]))


def read_spec(path: Path, *, variant: str | None = None, overrides: Sequence[str] = ()) -> Spec:
    """Read a grid file, one of its variants, with `key=value` overrides. Raises SpecError with file, line, key and value."""
    text = read_text(path)
    document = load_text(text, str(path))
    _check_top(document, path)
    document, variant = _choose_variant(document, variant)
    document = _with_overrides(document, overrides)
    document = _inline(document, path.parent)
    layers = list(_layers(document))
    top = _with_layered_settings(document, layers)
    leaves = _read_leaves(top, layers, overrides=len(document.value["set"].value) if "set" in document.value else 0)
    check_conditions(leaves)
    _check_drawn(layers[len(layers) - len(overrides) :], leaves)
    settings = read_settings({key: top.value[key] for key in settings_of.KEYS if key in top.value}, file=str(path))
    spec = Spec(
        name=_name("name", document.value["name"]),
        variant=variant,
        source=path,
        question=leading_comment(text),
        max_parallel=_max_parallel([top, *layers]),
        leaves=leaves,
        document=document,
        **vars(settings),
    )
    _check_pack(spec)
    return spec


def _check_drawn(overrides: Sequence[Node], leaves: Sequence[Leaf]) -> None:
    """Refuse a --set of how often or from which seed is drawn, where nothing is: it would change nothing."""
    if any(axis.bundle == "random" for leaf in leaves for axis in leaf.axes):
        return
    for level in overrides:
        drawn = level.value.get("random")
        for key, node in drawn.items() if drawn is not None and drawn.is_mapping else ():
            raise SpecError(
                f"{node.mark}: random.{key} holds {show(node)}, but no axis of the grid is drawn at random. Leave it out, or give axes: "
                f"--set 'random.axes.optim.lr={{loguniform: [1e-5, 1e-2]}}'."
            )


def _check_pack(spec: Spec) -> None:
    at_a_time = min(spec.pack.per_gpu, spec.pack.per_task)
    if at_a_time > spec.max_parallel:
        raise SpecError(
            f"{spec.place('pack')}: pack lets a task compute {at_a_time} runs side by side, but resources.max_parallel is "
            f"{spec.max_parallel}. Raise max_parallel, or lower pack.per_gpu."
        )


def leading_comment(text: str) -> str:
    """Return the comment lines at the top of a file, without their #."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        lines.append(re.sub(r"\A# ?", "", line).rstrip())
    return "\n".join(lines)


def _check_top(document: Node, path: Path) -> None:
    if document.value is None:
        raise SpecError(f"{path}: is empty. Write at least name:, entry: (or command:) and grid:.")
    if not document.is_mapping:
        raise SpecError(
            f"{document.mark}: holds {show(document)}; a grid file is a mapping. Write name: NAME, entry: module:function, grid: {{…}}."
        )
    for key, child in document.items():
        if key not in _TOP:
            hint = did_you_mean(key, _TOP) if "." not in key else "Write it below config: (one value) or grid: (a list of values)."
            raise SpecError(f"{child.mark}: {key} holds {show(child)}; this key is unknown. {hint}")
        if child.value is REMOVE:
            raise SpecError(f"{child.mark}: {key} holds !remove, but nothing is inherited here. Remove the line.")
    if "name" not in document.value:
        raise SpecError(f"{path}:1: the grid has no name. Write name: {path.stem}.")
    _name("name", document.value["name"])
    _check_overlays(document)


def _check_overlays(document: Node) -> None:
    """Check the shape of all variants, also of those that are not chosen."""
    variants = document.value.get("variants", Node({}, document.mark))
    if not variants.is_mapping:
        raise SpecError(
            f"{variants.mark}: variants holds {show(variants)}; it maps names to overrides. Write variants: {{smoke: {{config: "
            f"{{train.epochs: 1}}}}}}."
        )
    for name, level in variants.items():
        _name("variants", Node(name, level.mark))
        check_level(level, f"variants.{name}", extra=settings_of.KEYS)
    given = document.value.get("set", Node([], document.mark))
    if not given.is_list:
        raise SpecError(f"{given.mark}: set holds {show(given)}; it lists what --set overrode. Write the values below config: instead.")
    for level in given.value:
        check_level(level, "set", extra=settings_of.KEYS)


def _name(key: str, node: Node) -> str:
    name = text_value(key, node)
    if not GRID_NAME.match(name):
        raise SpecError(
            f"{node.mark}: {key} holds {show(name)}; it becomes the name of a folder. Use letters, digits, _ . and - (at most 100)."
        )
    return name


def _choose_variant(document: Node, wanted: str | None) -> tuple[Node, str | None]:
    """Keep the chosen variant only. A frozen grid names its variant itself."""
    frozen = document.value.get("variant")
    if frozen is not None:
        name = _name("variant", frozen)
        if wanted not in (None, name):
            raise SpecError(
                f"{frozen.mark}: variant holds {name}: this copy was frozen as that variant, not as {wanted!r}. Leave out --variant, or "
                f"give the original file."
            )
        wanted = name
    variants = document.value.get("variants")
    entries = {key: value for key, value in document.items() if key not in ("variants", "variant")}
    if wanted is None:
        return Node(entries, document.mark), None
    overrides = {"set": entries.pop("set")} if "set" in entries else {}
    known = dict(variants.items()) if variants is not None else {}
    if wanted not in known:
        place = variants.mark if variants is not None else document.mark.file
        raise SpecError(f"{place}: the grid has no variant {wanted[:40]!r}. {did_you_mean(wanted, known)}")
    assert variants is not None
    entries["variant"] = Node(wanted, known[wanted].mark)
    entries["variants"] = Node({wanted: known[wanted]}, variants.mark)
    return Node({**entries, **overrides}, document.mark), wanted


def _with_overrides(document: Node, overrides: Sequence[str]) -> Node:
    if not overrides:
        return document
    earlier = document.value["set"].value if "set" in document.value else []
    given = Node([*earlier, *(parse_override(text) for text in overrides)], Mark("--set"))
    return Node({**document.value, "set": given}, document.mark)


def _inline(document: Node, folder: Path) -> Node:
    document = inline_files(document, folder)
    entries = dict(document.value)
    if "variants" in entries:
        entries["variants"] = Node(
            {name: inline_files(level, folder) for name, level in entries["variants"].items()}, entries["variants"].mark
        )
    if "set" in entries:
        entries["set"] = Node([inline_files(level, folder) for level in entries["set"].value], entries["set"].mark)
    return Node(entries, document.mark)


def _layers(document: Node) -> Iterator[Node]:
    """Yield what lies over every leaf: the variant, then each --set."""
    if "variant" in document.value:
        yield document.value["variants"].value[document.value["variant"].value]
    if "set" in document.value:
        yield from document.value["set"].value


def _with_layered_settings(document: Node, layers: Sequence[Node]) -> Node:
    """Return the top level with the settings and cases of the layers in place."""
    entries = {key: value for key, value in document.items() if key not in ("variant", "variants", "set")}
    for layer in layers:
        for key, node in layer.items():
            if key in settings_of.KEYS:
                _set_setting(entries, key, node)
            elif key == "cases":
                entries["cases"] = with_cases(entries.get("cases"), node)
    if "cases" in entries and entries["cases"].value == {} and document.value["cases"].value:
        del entries["cases"]  # a variant dropped them all: the level itself is the grid
    return Node(entries, document.mark)


def _set_setting(entries: dict[str, Node], key: str, node: Node) -> None:
    if node.value is REMOVE:
        entries.pop(key, None)
        return
    entries[key] = merged(entries.get(key), node) if key in settings_of.MERGED else node
    if key in ("entry", "command"):
        entries.pop("command" if key == "entry" else "entry", None)


def _read_leaves(top: Node, layers: Sequence[Node], *, overrides: int) -> tuple[Leaf, ...]:
    """Return the products of axes; the last `overrides` layers come from --set."""
    level = lay_over(Level(), _without_max_parallel(top))
    in_file = layers[: len(layers) - overrides]
    leaves = []
    for bottom in _walk(level, top.value.get("cases")):
        written = reduce(_lay_layer, in_file, bottom)
        leaves.append(make_leaf(reduce(_lay_layer, layers[len(in_file) :], written), written))
    return tuple(leaves)


def _lay_layer(level: Level, layer: Node) -> Level:
    return lay_over(level, _without_max_parallel(layer), overlay=True)


def _walk(level: Level, cases: Node | None) -> Iterator[Level]:
    """Yield the levels without cases, in the order of the file."""
    if cases is None:
        yield level
    for name, case in read_cases(cases):
        yield from _walk(lay_over(level, case, case=name), case.value.get("cases"))


def _without_max_parallel(node: Node) -> Node:
    """It concerns the grid; what is left of resources concerns a run."""
    resources = node.value.get("resources")
    if resources is None or not resources.is_mapping:
        return node
    rest = Node({key: child for key, child in resources.items() if key != "max_parallel"}, resources.mark)
    return Node({**node.value, "resources": rest}, node.mark)


def _max_parallel(levels: Sequence[Node]) -> int:
    """Return what the last level says; one that has no resources says nothing."""
    runs = MAX_PARALLEL
    for level in levels:
        resources = level.value.get("resources")
        node = resources.value.get("max_parallel") if resources is not None and resources.is_mapping else None
        if node is None:
            continue
        if isinstance(node.value, bool) or not isinstance(node.value, int) or node.value < 1:
            raise SpecError(
                f"{node.mark}: resources.max_parallel holds {show(node)}; it must be a whole number above 0. Write max_parallel: 9."
            )
        runs = node.value
    return runs
