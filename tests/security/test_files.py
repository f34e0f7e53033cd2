"""Files that were made to do harm: links out of HDF5, YAML that grows, logs without end, pickles."""

from __future__ import annotations

import ast
import os
import time
import tracemalloc
from pathlib import Path

import h5py
import numpy as np
import pytest

from data.errors import BadInput
from data.volumes.fastmri import acquired_columns, read_volume
from data.volumes.formats import open_file
from data.volumes.reading import SliceReader
from orchestrator.cli.logs import follow_file, tail
from orchestrator.grid.loading import load_file, load_text
from orchestrator.grid.spec import read_spec
from orchestrator.store.errors import SpecError
from tests.data.small_brains import make_brains

ROOT = Path(__file__).parents[2]


# --- HDF5


@pytest.fixture(scope="module")
def secret(tmp_path_factory):
    """Another file of the user, with what a volume holds."""
    root = make_brains(tmp_path_factory.mktemp("secret"))
    return root / "train" / "brain_train_0000.h5"


def link_out(file, key, secret):
    file[key] = h5py.ExternalLink(str(secret), key)


def link_out_softly(file, key, secret):
    file["elsewhere"] = h5py.ExternalLink(str(secret), "/")
    file[key] = h5py.SoftLink(f"/elsewhere/{key}")


def store_outside(file, key, secret):
    shape, dtype = file[f"old_{key}"].shape, file[f"old_{key}"].dtype
    file.create_dataset(key, shape, dtype, external=[(str(secret), 0, h5py.h5f.UNLIMITED)])


def map_from_outside(file, key, secret):
    old = file[f"old_{key}"]
    layout = h5py.VirtualLayout(old.shape, old.dtype)
    layout[...] = h5py.VirtualSource(str(secret), key, old.shape)
    file.create_virtual_dataset(key, layout)


ATTACKS = [link_out, link_out_softly, store_outside, map_from_outside]


@pytest.fixture(params=ATTACKS, ids=lambda attack: attack.__name__)
def attack(request):
    return request.param


@pytest.fixture
def volume(tmp_path):
    return make_brains(tmp_path / "brains") / "train" / "brain_train_0000.h5"


def replace(volume, key, attack, secret):
    with h5py.File(volume, "a") as file:
        file.move(key, f"old_{key}")
        attack(file, key, secret)


@pytest.mark.parametrize("key", ["kspace", "reconstruction_rss"])
def test_a_volume_that_reads_another_file_is_refused(volume, secret, attack, key):
    replace(volume, key, attack, secret)
    with pytest.raises(BadInput, match=f"key '{key}' is .* and is not (followed|read)"):
        read_volume(volume)
    with pytest.raises(BadInput, match=f"key '{key}' is"):
        SliceReader().read(volume, key, 0)


@pytest.mark.parametrize("attack", [link_out, link_out_softly])
def test_a_header_that_lies_in_another_file_is_refused(volume, secret, attack):
    replace(volume, "ismrmrd_header", attack, secret)
    with open_file(volume) as file, pytest.raises(BadInput, match="ismrmrd_header"):
        acquired_columns(file, width=31)


def test_a_header_that_grows_is_refused(volume):
    entities = "".join(f'<!ENTITY a{level} "{f"&a{level - 1};" * 10}">' for level in range(1, 10))
    with h5py.File(volume, "a") as file:
        del file["ismrmrd_header"]
        file["ismrmrd_header"] = f'<!DOCTYPE a [<!ENTITY a0 "aaaaaaaaaa">{entities}]><a>&a9;</a>'.encode()
    with open_file(volume) as file, pytest.raises(BadInput, match="no valid ISMRMRD header"):
        acquired_columns(file, width=31)


# --- YAML

LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{after}: &{after} [{','.join([f'*{before}'] * 10)}]\n" for before, after in zip("abcdefgh", "bcdefghi", strict=True)
)
NESTED = 20_000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LAUGHS, "aliases counted out"),
        ("[" * NESTED, "deeper than 40"),
        ("{a: " * NESTED, "deeper than 40"),
        ("".join(f"{' ' * level}a:\n" for level in range(500)) + " " * 500 + "b", "deeper than 40"),
        ("a: &a [*a]", "contains it"),
        ("a: !!python/object/apply:os.system [id]", "tag"),
        ("a: !!python/name:os.system", "tag"),
        ("!!python/object/new:type {}", "tag"),
        ("a: !!binary aGk=", "tag"),
        ("? !!python/tuple [1]\n: 2", "plain text"),
        ("a: " + "9" * 100_000, "64 bits"),
    ],
)
def test_yaml_that_grows_nests_or_names_python_is_refused_at_once(text, message):
    began = time.process_time()
    with pytest.raises(SpecError, match=message) as refused:
        load_text(text, "g.yaml")
    assert time.process_time() - began < 20
    assert len(str(refused.value)) < 500


def test_a_grid_file_of_a_gigabyte_is_refused_without_being_read(tmp_path):
    path = tmp_path / "g.yaml"
    with open(path, "wb") as file:
        file.truncate(2**30)
    with pytest.raises(SpecError, match="larger than 32 MB"):
        load_file(path)


@pytest.mark.parametrize(
    "name", ["../../x", "a/b", "a\nb", "a;rm -rf ~", "$(id)", "%x", "a b", "-rf", "..", "x" * 300, "ab\u202ec", "", "a\u200b"]
)
def test_a_grid_cannot_be_named_by_what_is_no_name(tmp_path, name):
    path = tmp_path / "g.yaml"
    path.write_text(f"name: {ascii(name).replace(chr(39), chr(34))}\nentry: a:b\nconfig: {{x: 1}}\n")
    with pytest.raises(SpecError, match="name"):
        read_spec(path)


# --- logs


@pytest.fixture
def long_log(tmp_path):
    """Ten gigabytes without a line end; sparse, so that they take no room."""
    path = tmp_path / "log.txt"
    with open(path, "wb") as file:
        file.truncate(10 * 2**30)
        file.seek(0, os.SEEK_END)
        file.write("the end \u00e9\n".encode())
    return path


def test_the_end_of_a_huge_log_is_read_in_a_moment_and_little_memory(long_log):
    tracemalloc.start()
    text = tail(long_log, 3)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert text.endswith("the end \u00e9\n")
    assert peak < 2**20


def test_a_log_without_an_end_has_one_for_us(tmp_path):
    log = tmp_path / "log.txt"
    log.symlink_to("/dev/zero")
    assert len(tail(log, None)) == 64 * 1024


def test_a_log_that_grows_by_gigabytes_is_followed_in_pieces(long_log, monkeypatch):
    monkeypatch.setattr(Path, "exists", lambda _: False)  # followed from its first byte
    pieces = follow_file(long_log, lambda: False, lambda _: None)
    assert [len(next(pieces)) for _ in range(3)] == [65536] * 3


def test_a_character_between_two_pieces_of_a_log_is_whole(tmp_path):
    log = tmp_path / "log.txt"
    log.write_bytes(b"")
    pieces = follow_file(log, lambda: log.stat().st_size > 65536, lambda _: log.write_bytes(b"x" * 65535 + "\u00e9".encode() + b"y"))
    assert "".join(pieces) == "x" * 65535 + "\u00e9y"


# --- pickles


FORBIDDEN = {"pickle", "cloudpickle", "dill", "shelve", "marshal", "joblib"}


def calls(path: Path):
    """Yield name and keywords of every call in a module, and what it imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}


def modules(*packages: str) -> list[Path]:
    return [path for package in packages for path in (ROOT / package).rglob("*.py")]


def test_the_orchestrator_reads_no_pickle():
    for path in modules("orchestrator"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not FORBIDDEN & {name.split(".")[0] for name in names}, path
        for name, _ in calls(path):
            assert not name.endswith(("job.result", "job.results", "torch.load", "pickle_load", "read_pickle", "eval")), (path, name)


def test_the_networks_read_nothing_but_weights():
    for path in modules("models", "data"):
        for name, keywords in calls(path):
            if name == "torch.load":
                assert keywords.get("weights_only") == "True", path
            assert name not in ("pickle.load", "pickle.loads"), path
            assert keywords.get("allow_pickle") != "True", path


def test_a_number_is_no_array_of_objects(volume):
    """h5py has no pickles; an object that claims to be one is no dataset of numbers."""
    with h5py.File(volume, "a") as file:
        del file["kspace"]
        file.create_dataset("kspace", (3, 3, 4, 4), h5py.string_dtype())
    with pytest.raises(BadInput, match="expected complex64"):
        read_volume(volume)
    assert np.dtype("O") == h5py.string_dtype()
