"""Grid files on disk, and a schema like that of a real entry."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

from orchestrator.grid.expand import Point, expand
from orchestrator.grid.schema import Schema, load_schema
from orchestrator.grid.spec import Spec, read_spec

settings.register_profile("patient", deadline=None)  # a busy machine is no defect
settings.load_profile("patient")

SCHEMA = """
import math
import msgspec
from typing import Literal

class Unet(msgspec.Struct, tag_field="kind", tag="unet", frozen=True):
    chans: int = 32
    drop: float = 0.0

class Varnet(msgspec.Struct, tag_field="kind", tag="varnet", frozen=True):
    blocks: str = "II"
    chans: int = 18

class Optim(msgspec.Struct, frozen=True, kw_only=True):
    lr: float = 1e-3
    betas: tuple[float, ...] = (0.9, 0.999)
    kind: Literal["adam", "rmsprop"] = "adam"
    clip: float = math.inf

class Train(msgspec.Struct, frozen=True, kw_only=True):
    epochs: int = 50
    num_workers: int = 2

class Data(msgspec.Struct, frozen=True, kw_only=True):
    root: str = "data"
    kind: str = "brain"

class Config(msgspec.Struct, frozen=True, kw_only=True):
    model: Unet | Varnet = Unet()
    optim: Optim = Optim()
    train: Train = Train()
    data: Data = Data()
    seed: int = 0
    note: str | None = None
"""

HEAD = "name: g\nentry: m.train:run\n"


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write a grid file (below a name and an entry, unless `head` says otherwise) into a folder with a space and a quote."""
    folder = tmp_path / "it's here"
    folder.mkdir()

    def write_file(text: str, *, head: str = HEAD, name: str = "g.yaml") -> Path:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(head + text, encoding="utf-8")
        return path

    return write_file


@pytest.fixture
def read(write: Callable[..., Path]) -> Callable[..., Spec]:
    """Read a grid file from its text."""

    def read_text(text: str, **options: object) -> Spec:
        return read_spec(write(text), **options)  # type: ignore[arg-type]

    return read_text


@pytest.fixture
def points(read: Callable[..., Spec]) -> Callable[..., list[Point]]:
    """Expand a grid file from its text, without a schema."""

    def expand_text(text: str, **options: object) -> list[Point]:
        return list(expand(read(text, **options)))

    return expand_text


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Schema]:
    """Load the schema above, or another text of it, as a user's module."""

    def load_text(text: str = SCHEMA, name: str = "Config") -> Schema:
        folder = tmp_path / "project"
        folder.mkdir(exist_ok=True)
        module = f"schema_{abs(hash(text)) % 10**9}"
        (folder / f"{module}.py").write_text(text)
        return load_schema(f"{module}:{name}", [str(folder)])

    return load_text


@pytest.fixture
def schema(load: Callable[..., Schema]) -> Schema:
    """The schema above."""
    return load()
