"""Keys on the command line and in columns."""

from __future__ import annotations

import pytest

from orchestrator.results.abbreviations import last_words
from orchestrator.store.errors import InputError
from orchestrator.tables.keys import find_keys, told, varying
from orchestrator.tables.sample import Sample
from tests.tables.studies import case, sample

CONSTANT = {"model.kind": "unet", "loss.kind": "l1", "optim.lr": 0.1}


def runs() -> Sample:
    return sample(*(case({"mask.kind": kind, "seed": seed}, 0.5, constant=CONSTANT) for kind in "ab" for seed in (1, 2)))


@pytest.mark.parametrize(
    ("word", "key"),
    [("mask.kind", "mask.kind"), ("kind", "mask.kind"), ("seed", "seed"), ("lr", "optim.lr"), ("grid", "grid"), ("loss.kind", "loss.kind")],
)
def test_a_key_may_be_named_by_its_last_word_and_one_that_varies_is_meant_first(word: str, key: str) -> None:
    assert find_keys((word,), runs(), "--by") == (key,)


def test_a_word_that_means_several_keys_is_refused() -> None:
    both = sample(*(case({"mask.kind": kind, "model.kind": kind}, 0.5) for kind in "ab"))
    with pytest.raises(InputError, match=r"--by kind: means 2 keys: mask\.kind, model\.kind"):
        find_keys(("kind",), both, "--by")


def test_an_unknown_key_names_the_nearest_first() -> None:
    with pytest.raises(InputError, match=r"--over sed: no run has such a key\. Did you mean seed\?"):
        find_keys(("sed",), runs(), "--over")


def test_a_key_is_named_once() -> None:
    with pytest.raises(InputError, match=r"--by kind,mask\.kind: names mask\.kind twice"):
        find_keys(("kind", "mask.kind"), runs(), "--by")


def test_names_for_people_are_last_words_where_these_tell_keys_apart() -> None:
    assert last_words(("mask.kind", "model.kind", "seed")) == {"mask.kind": "mask.kind", "model.kind": "model.kind", "seed": "seed"}
    assert told(("mask.kind", "optim.lr"), ("a b", 1e-4)) == "kind=a b lr=0.0001"
    assert varying(runs()) == ["mask.kind", "seed"]
