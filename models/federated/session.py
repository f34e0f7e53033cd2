"""One federated run from config to the test metrics of every site."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any

import torch

from data.volumes.cache import cache_folder
from data.volumes.layouts import read_site, usable
from data.volumes.sampling import buckets_of
from data.volumes.splits import Splits, disjoint, read_scans
from data.volumes.unlabelled import read_finite, read_unlabelled, refuse_twins
from data.volumes.volume import Volume
from models.federated.config import FederatedConfig, read_federated
from models.federated.order import RoundOrder
from models.federated.step import FederatedStepper
from models.federated.target import TargetBatches
from models.training.context import Run
from models.training.feed import feed_of
from models.training.fit import refuse_misfit, refuse_misfit_loss
from models.training.loop import Trainer
from models.training.parallel.plan import choose_device
from models.training.parallel.ranks import Ranks
from models.training.pictures import refuse_unknown_volumes
from models.training.session import reproducible, test_volumes, train_and_test


def train_config(values: Mapping[str, Any], run: Run) -> dict[str, float]:
    """Train across sites. Returns the test metrics of all sites together and each, those of the target as target/…, and what was spent."""
    config = read_federated(values)
    device = choose_device(config.train.device)
    refuse_misfit(config.network, config.data)
    refuse_misfit_loss(config.loss.kind, config.network, config.data)
    with reproducible(config.seed, config.train.threads, (device,)), ExitStack() as opened:
        splits = open_splits(config)
        feed = opened.enter_context(closing(feed_of(splits, RoundOrder(buckets_of(splits.train), config), config, device)))
        refuse_unknown_volumes(config.train.show_volumes, test_volumes(feed))
        target = open_target(config, splits, device)
        if target is not None:
            opened.enter_context(closing(target))
        results = train_and_test(Trainer(FederatedStepper(config, feed.slices, target, device), run, feed, (device,), Ranks()))
    return results | of_target(results, config)


def open_splits(config: FederatedConfig) -> Splits:
    """Read what the volumes hold: of the clients to train, of the validated sites to choose the best round, of all sites to test."""
    federated, sites = config.federated, config.sites.sites
    train, val, test = (
        tuple(_read(config, named, split)) for named, split in ((federated.clients, "train"), (federated.validated, "val"), (sites, "test"))
    )
    return disjoint(Splits(train=train, val=val, test=test))


def _read(config: FederatedConfig, named: Iterable[str], split: str) -> Iterable[Volume]:
    """Yield volumes site after site, in the order of data.sites."""
    for site in sorted(named, key=config.sites.sites.index):
        yield from usable(config.sites, read_site(config.sites, site, split))


def open_target(config: FederatedConfig, splits: Splits, device: torch.device) -> TargetBatches | None:
    """Open what mrcm may see of the target: k-space of its training volumes, which shares nothing with those that measure it."""
    if not config.federated.aligned:
        return None
    data, site = config.sites, config.federated.target
    read = partial(read_finite, cache=cache_folder(data.cache)) if data.skip_bad else read_unlabelled
    volumes = read_scans(Path(data.root) / site / data.contrast / "train", read, skip_bad=data.skip_bad)
    refuse_twins(volumes, [volume.path for volume in (*splits.val, *splits.test) if volume.group == site])
    return TargetBatches(volumes, config, device)


def of_target(results: Mapping[str, float], config: FederatedConfig) -> dict[str, float]:
    """Return the test metrics of the target once more, as target/ssim and so on, so that tables compare runs with different targets."""
    target = config.federated.target
    start, ending = "test/", f"/{target}" if len(config.sites.sites) > 1 else ""  # of one site alone, they are named by no site
    named = {name: value for name, value in results.items() if target and name.startswith(start) and name.endswith(ending)}
    return {f"target/{name.removeprefix(start).removesuffix(ending)}": value for name, value in named.items()}
