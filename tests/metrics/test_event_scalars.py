"""TensorBoard event files, written by the libraries that people use, and read without any of these."""

from __future__ import annotations

import math
import os
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c as reference_checksum
from tensorboard.util.tensor_util import make_ndarray
from torch.utils.tensorboard import SummaryWriter

from orchestrator.grid.objective import Objective
from orchestrator.metrics import event_frames
from orchestrator.metrics.checksums import masked_crc32c, masked_crc32c_rows
from orchestrator.metrics.event_records import Malformed, parse_event
from orchestrator.metrics.event_scalars import read_scalars
from orchestrator.metrics.summary import summarise
from tests.metrics.shelf import Shelf, told

ALL = {"scalars": 0, "tensors": 0, "images": 1, "histograms": 1}
SCALAR = {"plugin_data": {"plugin_name": "scalars"}}


def accumulated(folder: Path) -> dict[str, list[tuple[float, float]]]:
    """Return what TensorBoard's own reader finds, every value of it."""
    found = EventAccumulator(str(folder), size_guidance=ALL)
    found.Reload()
    scalars = {tag: [(float(each.step), each.value) for each in found.Scalars(tag)] for tag in found.Tags()["scalars"]}
    tensors = {tag: found.Tensors(tag) for tag in found.Tags()["tensors"]}
    marked = {tag for tag in tensors if found.SummaryMetadata(tag).plugin_data.plugin_name == "scalars"}
    return scalars | {tag: [(float(each.step), make_ndarray(each.tensor_proto).item()) for each in tensors[tag]] for tag in marked}


def read(folder: Path) -> dict[str, list[tuple[float, float]]]:
    found = read_scalars(sorted(path for path in folder.iterdir() if path.is_file()))
    return {tag: list(zip(series.steps.tolist(), series.values.tolist(), strict=True)) for tag, series in found.items()}


ODD_FLOATS = b"\x10\x02*\r\n\x0b\n\x01qB\x06\x08\x01*\x02\x00\x00"
"""An event whose tensor packs two bytes as floats."""


def frame(record: bytes) -> bytes:
    head = struct.pack("<Q", len(record))
    return head + struct.pack("<I", masked_crc32c(head)) + record + struct.pack("<I", masked_crc32c(record))


def scalar(tag: str, step: int, value: float, at: float = 1.0) -> bytes:
    return event(step, {"tag": tag, "simple_value": value}, at=at)


def event(step: int, *values: dict[str, Any], at: float = 1.0) -> bytes:
    record: bytes = Event(wall_time=at, step=step, summary=Summary(value=[Summary.Value(**value) for value in values])).SerializeToString()
    return record


def write(folder: Path, *records: bytes, name: str = "events.out.tfevents.1.node.7.0") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_bytes(b"".join(map(frame, records)))
    return path


@pytest.mark.parametrize("steps", [0, 1, 7, 333])
def test_every_value_of_a_real_writer_is_read_and_nothing_else(tmp_path: Path, steps: int) -> None:
    writer = SummaryWriter(str(tmp_path), max_queue=10_000)
    for step in range(steps):
        writer.add_scalar("train/loss", 1 / (step + 3), step)
        writer.add_scalar("val/ssim", np.nan if step == 3 else -step * 1e30, 1000 * step)
        writer.add_scalar("a new one", step, 2**40 * step, new_style=True)
        if step % 5 == 0:
            writer.add_scalar("ü" * (step % 50), np.inf, step)
            writer.add_image("picture", np.zeros((3, 70, 70), np.uint8), step)
            writer.add_histogram("weights", np.arange(9.0), step)
            writer.add_text("note", "words", step)
    writer.close()
    assert repr(sorted(read(tmp_path).items())) == repr(sorted(accumulated(tmp_path).items()))
    assert len(read(tmp_path)) == (3 + min(10, -(-steps // 5)) if steps else 0)


def test_tensors_of_tensorflow_2_are_scalars_once_the_first_says_so(tmp_path: Path) -> None:
    """TensorFlow 2 names the plugin with the first value of a tag only, and writes numbers in either of two places."""
    packed = [struct.pack("<f", 0.1 * step) for step in range(100)]
    records = [
        event(step, {"tag": "loss", "tensor": TensorProto(dtype=1, tensor_content=each), **({"metadata": SCALAR} if not step else {})})
        for step, each in enumerate(packed)
    ]
    records += [event(step, {"tag": "lr", "tensor": TensorProto(dtype=1, float_val=[step]), "metadata": SCALAR}) for step in range(3)]
    records += [event(step, {"tag": "unmarked", "tensor": TensorProto(dtype=1, float_val=[step])}) for step in range(40)]
    records += [event(1, {"tag": "two", "tensor": TensorProto(dtype=1, float_val=[1, 2]), "metadata": SCALAR})]
    write(tmp_path, *records)
    assert list(read(tmp_path)) == ["lr", "loss"] or list(read(tmp_path)) == ["loss", "lr"]
    assert read(tmp_path)["loss"] == [(float(step), struct.unpack("<f", each)[0]) for step, each in enumerate(packed)]
    assert read(tmp_path)["lr"] == [(0, 0), (1, 1), (2, 2)]


@pytest.mark.parametrize(
    ("dtype", "format_", "value"),
    [(1, "<f", 0.5), (2, "<d", 0.1), (3, "<i", -7), (9, "<q", 2**40), (19, "<e", 0.25), (10, "<?", 1), (5, "<h", -2), (23, "<Q", 3)],
)
@pytest.mark.parametrize("count", [1, 50])
def test_a_tensor_of_any_numeric_type_is_read(tmp_path: Path, dtype: int, format_: str, value: float, count: int) -> None:
    tensor = TensorProto(dtype=dtype, tensor_content=struct.pack(format_, value))
    write(tmp_path, *(event(step, {"tag": "x", "tensor": tensor, "metadata": SCALAR}) for step in range(count)))
    assert read(tmp_path) == {"x": [(step, value) for step in range(count)]}


def test_events_with_several_values_and_a_picture_among_them_are_read(tmp_path: Path) -> None:
    picture = {"tag": "p", "image": Summary.Image(height=1, width=1, encoded_image_string=b"\0" * 10_000)}
    write(tmp_path, *(event(step, {"tag": "a", "simple_value": step}, picture, {"tag": "b", "simple_value": -step}) for step in range(60)))
    assert read(tmp_path) == {"a": [(step, step) for step in range(60)], "b": [(step, -step) for step in range(60)]}


@given(
    rows=some.lists(
        some.tuples(some.sampled_from(["a", "b", "train/long name", "ü"]), some.integers(-(2**63), 2**63 - 1), some.floats(width=32)),
        max_size=120,
    )
)
def test_any_order_of_steps_and_tags_gives_the_last_value_of_each_step(tmp_path_factory: pytest.TempPathFactory, rows: list[Any]) -> None:
    folder = tmp_path_factory.mktemp("events")
    write(folder, *(scalar(tag, step, value, at=place) for place, (tag, step, value) in enumerate(rows)))
    expected: dict[str, dict[float, float]] = {}
    for tag, step, value in rows:
        expected.setdefault(tag, {})[float(step)] = value
    assert repr({tag: sorted(values.items()) for tag, values in sorted(expected.items())}) == repr(dict(sorted(read(folder).items())))


def test_a_file_cut_off_at_any_byte_gives_its_whole_records(tmp_path: Path) -> None:
    path = write(tmp_path, *(scalar("q", step, step) for step in range(40)))
    content, size = path.read_bytes(), len(frame(scalar("q", 1, 1)))
    first = len(frame(scalar("q", 0, 0)))  # step 0 is left out of its record
    for cut in range(len(content) + 1):
        path.write_bytes(content[:cut])
        whole = 0 if cut < first else 1 + (cut - first) // size
        assert len(read(tmp_path).get("q", [])) == whole, cut


@pytest.mark.parametrize(("count", "window"), [(60, 1 << 22), (5, 1 << 22), (60, 100)])
def test_a_damaged_byte_ends_the_file_there_and_never_changes_a_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, window: int
) -> None:
    monkeypatch.setattr(event_frames, "WINDOW_BYTES", window)
    path = write(tmp_path, *(scalar("q", step, step) for step in range(1, count + 1)))
    content = path.read_bytes()
    size = len(content) // count
    for place in range(size, 2 * size + 4):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0x10]) + content[place + 1 :])
        assert read(tmp_path) == {"q": [(step, step) for step in range(1, place // size + 1)]}


@given(record=some.binary(max_size=60))
def test_no_record_whose_checksum_is_right_stops_the_reading(tmp_path_factory: pytest.TempPathFactory, record: bytes) -> None:
    folder = tmp_path_factory.mktemp("events")
    write(folder, *(scalar("q", step, step) for step in range(1, 31)), record, *[record] * 30)
    assert read(folder)["q"][:30] == [(step, step) for step in range(1, 31)]


@pytest.mark.parametrize(
    "record", [ODD_FLOATS, b"\x08", b"\x2a\x7f", b"\x0f", b"\x10" + b"\xff" * 11, b"\x00", b"\x2a\x02\x0a\x05", b"\x10" + b"\x80" * 60]
)
def test_a_malformed_record_is_no_event(tmp_path: Path, record: bytes) -> None:
    with pytest.raises(Malformed):
        parse_event(record)
    write(tmp_path, *(scalar("q", step, step) for step in range(1, 50)), record, scalar("q", 99, 99))
    assert read(tmp_path) == {"q": [(step, step) for step in range(1, 50)]}


@given(content=some.binary(max_size=200))
def test_any_bytes_are_read_without_an_error(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = tmp_path_factory.mktemp("events")
    (folder / "tfevents").write_bytes(content)
    read(folder)


def test_a_record_that_claims_an_enormous_length_ends_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, scalar("q", 1, 1))
    head = struct.pack("<Q", 2**62)
    path.write_bytes(path.read_bytes() + head + struct.pack("<I", masked_crc32c(head)) + b"x" * 100)
    assert read(tmp_path) == {"q": [(1, 1)]}


def test_records_that_lie_across_windows_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, *(scalar("q" * (step % 9), step, step) for step in range(300)))
    expected = read(tmp_path)
    assert sum(map(len, expected.values())) == 300
    for size in (1, 13, 50, 777, path.stat().st_size):
        monkeypatch.setattr(event_frames, "WINDOW_BYTES", size)
        assert read(tmp_path) == expected


@given(rows=some.integers(1, 40), length=some.integers(0, 60), seed=some.integers(0, 100))
def test_checksums_are_those_of_tensorboard(rows: int, length: int, seed: int) -> None:
    many = np.random.default_rng(seed).integers(0, 256, (rows, length), dtype=np.uint8)
    expected = [reference_checksum(row.tobytes()) for row in many]
    assert [masked_crc32c(row.tobytes()) for row in many] == expected
    assert masked_crc32c_rows(many).tolist() == expected


def test_series_of_add_scalars_are_named_by_their_folder(shelf: Shelf) -> None:
    with SummaryWriter(str(shelf.attempt().tensorboard)) as writer:
        for step in range(3):
            writer.add_scalars("loss", {"train": step, "val": 10 * step}, step)
            writer.add_scalar("lr", 0.5, step)
    expected = {
        "lr": [(0, 0.5), (1, 0.5), (2, 0.5)],
        "loss_train/loss": [(0, 0), (1, 1), (2, 2)],
        "loss_val/loss": [(0, 0), (1, 10), (2, 20)],
    }
    assert told(shelf.one()) == expected


@pytest.mark.parametrize(
    ("older", "newer", "names"),
    [
        (["tb/a"], ["tb", "tb/a"], ["a/q", "q"]),  # the older one had not come to the other folder
        (["tb", "tb/a"], ["tb/a"], ["a/q", "q"]),
        (["runs/Nov21_node1"], ["runs/Nov22_node2"], ["q"]),  # each names a folder by its time
        (["."], ["tb"], ["q", "tb/q"]),
    ],
)
def test_attempts_name_a_metric_alike(shelf: Shelf, older: list[str], newer: list[str], names: list[str]) -> None:
    for number, folders in ((1, older), (2, newer)):
        for folder in folders:
            with SummaryWriter(str(shelf.attempt(number).dir / folder)) as writer:
                writer.add_scalar("q", 0.5, number)
    assert sorted(shelf.one(1, 2).curves) == names


@pytest.mark.parametrize(
    ("folders", "names"),
    [
        (["."], ["q"]),
        (["tb"], ["q"]),
        (["lightning_logs/version_0"], ["q"]),
        (["runs/Nov21_19-30-17_node1", "runs/Nov21_19-30-17_node1/q_train"], ["q", "q_train/q"]),
        (["logs/train", "logs/validation"], ["train/q", "validation/q"]),
        ([".", "tb/deep"], ["q", "tb/deep/q"]),
        (["odd 'name'\n", "odd 'name'\n/$(x)"], ["q", "$(x)/q"]),
    ],
)
def test_a_metric_is_named_by_its_tag_and_by_what_tells_the_folders_apart(shelf: Shelf, folders: list[str], names: list[str]) -> None:
    for folder in folders:
        write(shelf.attempt().dir / folder, scalar("q", 1, 2))
    assert told(shelf.one()) == {name: [(1, 2)] for name in names}


def test_files_of_one_folder_follow_each_other_in_the_order_in_which_they_were_opened(shelf: Shelf) -> None:
    write(shelf.attempt().tensorboard, scalar("q", 1, 10), scalar("q", 2, 10), name="events.out.tfevents.10.node.1.0")
    write(shelf.attempt().tensorboard, scalar("q", 2, 9), scalar("q", 3, 9), name="events.out.tfevents.9.node.1.0")
    assert told(shelf.one()) == {"q": [(1, 10), (2, 10), (3, 9)]}


def test_lines_win_over_event_files_and_attempts_merge(shelf: Shelf) -> None:
    write(shelf.attempt(1).tensorboard, *(scalar(tag, step, 0) for tag in ("both", "only") for step in (1, 2, 3)))
    shelf.report({"step": 2, "both": 5})
    write(shelf.attempt(2).tensorboard, scalar("only", 3, 7), scalar("both", 4, 8))
    assert told(shelf.one(1, 2)) == {"both": [(2, 5), (4, 8)], "only": [(1, 0), (2, 0), (3, 7)]}


def test_the_best_of_attempts_is_found_in_their_event_files_where_no_line_names_it(shelf: Shelf) -> None:
    write(shelf.attempt(1).tensorboard, scalar("q", 1, 5), scalar("q", 2, 9), scalar("q", 3, 9))
    write(shelf.attempt(2).tensorboard, scalar("q", 2, 1), scalar("q", 3, math.nan))
    attempts = [shelf.attempt(1), shelf.attempt(2)]
    found = summarise(attempts, Objective(name="q", mode="max"))
    assert (found.reports, found.best, found.best_step, found.last, found.finite) == (5, 5.0, 1, "nan", 2)
    shelf.report({"step": 2, "q": 6}, number=2)
    assert summarise(attempts, Objective(name="q", mode="max")).best == 6


def test_links_and_what_they_lead_to_are_not_read(shelf: Shelf, tmp_path: Path) -> None:
    outside = write(tmp_path / "outside", scalar("secret", 1, 1))
    attempt = shelf.attempt().dir
    (attempt / "linked").symlink_to(outside.parent)
    (attempt / outside.name).symlink_to(outside)
    os.mkfifo(attempt / "events.out.tfevents.pipe")
    write(attempt / "tb", scalar("q", 1, 1))
    assert [name.rpartition("/")[2] for name in told(shelf.one())] == ["q"]


def test_the_files_of_a_process_that_still_writes_are_read(shelf: Shelf) -> None:
    writer = SummaryWriter(str(shelf.attempt().tensorboard))
    for step in range(5):
        writer.add_scalar("q", step, step)
        writer.flush()
        assert told(shelf.one()) == {"q": [(each, each) for each in range(step + 1)]}
    writer.close()


def test_no_library_of_tensorboard_is_needed(tmp_path: Path) -> None:
    write(tmp_path, *(scalar("q", step, math.pi) for step in range(100)))
    program = f"""
import sys
sys.modules.update({{"tensorboard": None, "google": None, "torch": None}})
from orchestrator.metrics.event_scalars import read_scalars
print(len(read_scalars([{str(tmp_path / "events.out.tfevents.1.node.7.0")!r}])["q"].steps))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    assert done.stdout == "100\n"


@pytest.fixture
def many_scalars(tmp_path: Path) -> Iterator[Path]:
    writer = SummaryWriter(str(tmp_path), max_queue=100_000)
    for step in range(5_000):
        for tag in ("train/loss", "val/ssim", "lr"):
            writer.add_scalar(tag, step / 7, step)
    writer.close()
    yield tmp_path


def test_it_is_five_times_as_fast_as_tensorboard(many_scalars: Path) -> None:
    """Processor time of both, the best of three: about 20 times."""

    def least(call: Any) -> float:
        spent = []
        for _ in range(3):
            began = time.process_time()
            call()
            spent.append(time.process_time() - began)
        return min(spent)

    assert least(lambda: accumulated(many_scalars)) > 5 * least(lambda: read(many_scalars))
