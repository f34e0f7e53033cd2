"""What a federated config may hold, and how each mistake is told."""

from __future__ import annotations

import copy
import subprocess
import sys
from typing import Any

import pytest

from data.errors import BadInput
from models.federated.config import AlignmentConfig, read_federated

GOOD: dict[str, Any] = {
    "model": {"kind": "unet"},
    "data": {"layout": "sites", "root": "r", "sites": ["B", "F", "H"], "contrast": "T1"},
    "federated": {"method": "mrcm", "clients": ["B", "F"], "target": "H"},
}
VARNET = {"kind": "e2e_varnet"}
WRONG = [
    ({"federated": {"clients": []}}, r"federated\.clients is \(\); it must be one or more of data\.sites"),
    ({"federated": {"clients": ["B", "B"]}}, r"federated\.clients is \('B', 'B'\); it must be sites that differ"),
    ({"federated": {"clients": ["B", "X"]}}, r"federated\.clients: 'X' is unknown\. Known: B, F, H"),
    ({"federated": {"target": "hh"}}, r"federated\.target: 'hh' is unknown"),
    ({"federated": {"target": ""}}, r"federated\.target is ''; it must be a site, to which mrcm aligns"),
    ({"federated": {"clients": ["H"]}}, r"federated\.clients is \('H',\); it must be other than the target alone"),
    ({"federated": {"per_round": 3}}, r"federated\.per_round is 3; it must be between 1 and 2, the number of federated\.clients"),
    ({"federated": {"per_round": 0}}, r"federated\.per_round is 0; it must be between 1 and 2"),
    ({"federated": {"local_epochs": 0}}, r"federated\.local_epochs is 0"),
    ({"federated": {"average": "slice"}}, r"federated\.average: 'slice' is unknown\. Did you mean slices\?"),
    ({"federated": {"method": "fedavg", "target": "", "validate": "all"}}, r"federated\.target is ''.*federated\.validate names it"),
    ({"federated": {"method": "fedavg", "alignment": {"weight": 2.0}}}, r"federated\.alignment is 'set'; it must be left out"),
    ({"federated": {"alignment": {"weight": 0}}}, r"federated\.alignment\.weight is 0\.0; it must be above 0; choose.*fedavg"),
    ({"model": VARNET}, r"model\.kind is 'e2e_varnet'; it must be unet for federated\.method mrcm"),
    ({"train": {"micro_batch": 1}}, r"train\.micro_batch is 1; it must be null"),
    ({"train": {"precision": "bf16"}}, r"train\.precision is 'bf16'; it must be float32"),
    ({"train": {"ema_decay": 0.5}}, r"train\.ema_decay is 0\.5; it must be 0"),
    ({"weighting": {"kind": "dwa"}}, r"weighting\.kind is 'dwa'; it must be none"),
    ({"task": "predict", "train": {"init_from": "best.pt"}, "model": None}, r"task is 'predict'; it must be train or train_and_predict"),
    ({"data": {"layout": "site"}}, r"data\.layout: 'site' is unknown\. Did you mean sites\?"),
]


def changed(sections: dict[str, Any]) -> dict[str, Any]:
    config = copy.deepcopy(GOOD)
    for name, values in sections.items():
        config[name] = {**config.get(name, {}), **values} if isinstance(values, dict) else values
    return config


@pytest.mark.parametrize(("sections", "message"), WRONG)
def test_mistake_is_told_with_key_value_and_what_is_allowed(sections, message):
    with pytest.raises(BadInput, match=message):
        read_federated(changed(sections))


def test_data_without_sites_are_refused():
    with pytest.raises(BadInput, match=r"data\.layout is 'fastmri'; it must be sites"):
        read_federated({**GOOD, "data": {"layout": "fastmri", "root": "r"}})


def test_defaults_are_those_of_the_published_program():
    federated = read_federated(changed({"federated": {}})).federated
    assert (federated.local_epochs, federated.average, federated.keep_optimiser, federated.per_round) == (1, "equal", False, None)
    assert federated.alignment == AlignmentConfig(weight=1.0, hidden=256)
    assert (federated.alignment.optim.kind, federated.alignment.optim.lr) == ("rmsprop", 1e-3)  # ten times the 1e-4 of the network


@pytest.mark.parametrize(
    ("method", "clients", "target", "aligned"),
    [
        ("mrcm", ["B", "F"], "H", ("B", "F")),
        ("mrcm", ["B", "H"], "H", ("B",)),
        ("fedavg", ["B", "F"], "H", ()),
    ],
)
def test_clients_are_aligned_but_for_the_target(method, clients, target, aligned):
    assert read_federated(changed({"federated": {"method": method, "clients": clients, "target": target}})).federated.aligned == aligned


@pytest.mark.parametrize(("validate", "sites"), [("clients", ("B", "H")), ("target", ("H",)), ("all", ("B", "H"))])
def test_validated_sites_are_named_once(validate, sites):
    assert read_federated(changed({"federated": {"clients": ["B", "H"], "validate": validate}})).federated.validated == sites


def test_a_config_is_read_without_torch():
    code = "import sys, models.federated, models.federated.config; print('torch' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
