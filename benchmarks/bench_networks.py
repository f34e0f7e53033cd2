"""Training steps of U-Net and VarNet beside those of the fastmri package with the same weights, and the memory of training.

python -m benchmarks.bench_networks pairs unet                 times steps of both in turn; each part prints JSON
python -m benchmarks.bench_networks peak 12 [--recompute]      one step of a VarNet of 12 cascades and the memory that it takes
python -m benchmarks.bench_networks flat                       trains 2,000 iterations and looks at the memory
python -m benchmarks.bench_networks gpu varnet                 half precision, channels last, compiled, beside the package on a GPU

--size Y X and --coils make everything smaller, for a quick look.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fastmri.models as package
import torch
from torch import Tensor, nn

from benchmarks.figures import REPEATS, ROOT, Figure, plain_environment
from models.quality import ssim
from models.training import train
from models.training.alone import AloneRun
from models.training.step import innermost_channels
from models.unet import Unet
from models.varnet import EndToEndVarNet
from tests.data.small_brains import make_brains
from tests.models.package_weights import give_weights
from tests.models.samples import draw_sample

POOLS, SENS_CHANS = 4, 8
CASCADES = {"cpu": 4, "cuda": 12}
"""On a CPU a step of the package with 12 takes about a minute."""
EQUAL = 1e-5
"""Most that outputs may differ by, as part of the largest value."""
SLOWEST, FASTER = 1 / 0.97, 1 / 1.5
"""Bars for the share of the package's time: with the same arithmetic, and with all that a GPU offers."""
PEAK = {"cpu": 0.55, "cuda": 0.35}
ITERATIONS, SLICES, WARM_EPOCHS = 2_000, 50, 4
FLAT, SAME_SSIM = 0.02, 0.01


def networks() -> Iterator[Figure]:
    """Time steps on this machine's CPU, and on its GPU where there is one; measure the memory."""
    for kind, name in (("unet", "U-Net"), ("varnet", f"VarNet of {CASCADES['cpu']} cascades")):
        found = _measured("pairs", kind)
        yield Figure(name=f"training step of {name}, 640 x 368", values=tuple(found["ours_s"]))
        yield Figure(name="  share of the fastmri package's time", values=_shares(found), unit="", bar=SLOWEST)
    plain, less = (_measured("peak", "12", *option)["peak_gb"] for option in ((), ("--recompute",)))
    yield Figure(name="peak memory of a VarNet of 12 cascades", values=(plain,), unit="GB")
    yield Figure(name="  share of it with train.recompute", values=(less / plain,), unit="", bar=PEAK["cpu"])
    drift = _measured("flat")["drift"]
    yield Figure(name=f"drift of host memory in {ITERATIONS:,} iterations", values=(drift,), unit="", bar=FLAT)
    yield from _gpu_figures()


def _gpu_figures() -> Iterator[Figure]:
    if not torch.cuda.is_available():
        print("no GPU here: half precision, channels last and compilation are not measured")
        return
    for kind, name in (("unet", "U-Net"), ("varnet", f"VarNet of {CASCADES['cuda']} cascades")):
        found = _measured("gpu", kind)
        yield Figure(name=f"training step of {name} on a GPU, share of the package's time", values=_shares(found), unit="", bar=FASTER)
        yield Figure(name="  SSIM that it loses", values=(found["lost_ssim"],), unit="", bar=SAME_SSIM)
        if kind == "varnet":
            yield Figure(name="  share of its memory with train.recompute", values=(found["memory_share"],), unit="", bar=PEAK["cuda"])


def _shares(found: dict[str, Any]) -> tuple[float, ...]:
    return tuple(ours / theirs for ours, theirs in zip(found["ours_s"], found["theirs_s"], strict=True))


def _measured(*arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.bench_networks", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=plain_environment(), check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@dataclass
class Side:
    """A network with its optimiser, and how it is applied to the one slice that all steps train on."""

    network: nn.Module
    apply: Callable[[Callable[..., Any]], Tensor]
    """Network → images (batch, y, x)."""
    target: Tensor
    half: bool = False
    """Compute in bf16, with channels last, compiled."""

    def __post_init__(self) -> None:
        self._optimiser = torch.optim.Adam(self.network.parameters(), lr=1e-4)
        self._compiled: Callable[..., Any] = torch.compile(self.network) if self.half else self.network

    def images(self) -> Tensor:
        """Return what the network makes of the slice, (batch, y, x) float32."""
        with torch.autocast(self.target.device.type, dtype=torch.bfloat16, enabled=self.half):
            return self.apply(self._compiled).float()

    def step(self) -> float:
        """Do forward, loss, backward and optimiser step. Returns how long that took [s]."""
        began = time.perf_counter()
        nn.functional.l1_loss(self.images(), self.target).backward()
        self._optimiser.step()
        self._optimiser.zero_grad()
        if self.target.is_cuda:
            torch.cuda.synchronize()
        return time.perf_counter() - began


def sides(kind: str, size: tuple[int, int], coils: int, *, device: str = "cpu", half: bool = False) -> tuple[Side, Side]:
    """Return our network and the package's, with the same weights. kind: unet or varnet. size: (y, x). half: ours is to be fast."""
    torch.manual_seed(0)
    sample = draw_sample(coils=coils, size=size, crop=size).to(torch.device(device))
    net, other = _networks(kind, CASCADES[device])
    give_weights(net, other, POOLS)
    net, other = innermost_channels(net.to(device), half), other.to(device)
    if kind == "unet":
        image = torch.randn(1, 1, *size).to(device)
        return Side(net, lambda unet: unet(image)[:, 0], sample.target, half), Side(other, lambda unet: unet(image)[:, 0], sample.target)
    given = torch.view_as_real(sample.kspace), sample.mask[:, None, :, :, None]
    return Side(net, lambda varnet: varnet(sample).image, sample.target, half), Side(other, lambda varnet: varnet(*given), sample.target)


def _networks(kind: str, cascades: int) -> tuple[Any, nn.Module]:
    if kind == "unet":
        return Unet(chans=32, pools=POOLS), package.Unet(1, 1, 32, POOLS)
    ours = EndToEndVarNet(cascades=cascades, chans=18, pools=POOLS, sens_chans=SENS_CHANS, sens_pools=POOLS)
    return ours, package.VarNet(cascades, SENS_CHANS, POOLS, 18, POOLS)


def pairs(ours: Side, theirs: Side) -> dict[str, Any]:
    """Time steps of both in turn, after one of each that is not counted. Returns seconds a step."""
    for side in (ours, theirs):
        side.step()
    took: dict[str, list[float]] = {"ours_s": [], "theirs_s": []}
    for number in range(REPEATS):
        both = [("ours_s", ours), ("theirs_s", theirs)]
        for name, side in both if number % 2 else reversed(both):
            took[name].append(side.step())
    return took


@torch.no_grad()
def assert_equal(ours: Side, theirs: Side) -> None:
    """Hold the outputs of both against each other."""
    found, expected = ours.images(), theirs.images()
    difference = float((found - expected).abs().max() / expected.abs().max())
    assert difference <= EQUAL, f"outputs differ by {difference:.2g} of the largest value"


def on_gpu(kind: str, size: tuple[int, int], coils: int) -> dict[str, Any]:
    """Compare our fastest step with the package's, what SSIM the same number of steps leads to, and memory with recompute and without."""
    ours, theirs = sides(kind, size, coils, device="cuda", half=True)
    took = pairs(ours, theirs)
    with torch.no_grad():
        scores = [float(ssim(side.images(), side.target, side.target.amax(dim=(-2, -1)))) for side in (ours, theirs)]
    del ours, theirs
    memory = [_gpu_memory(size, coils, recompute=recompute) for recompute in (False, True)]
    return {**took, "lost_ssim": scores[1] - scores[0], "memory_share": memory[1] / memory[0]}


def _gpu_memory(size: tuple[int, int], coils: int, *, recompute: bool) -> int:
    side, _ = sides("varnet", size, coils, device="cuda")
    side.network.recompute = recompute
    torch.cuda.reset_peak_memory_stats()
    side.step()
    return torch.cuda.max_memory_allocated()


def peak(cascades: int, size: tuple[int, int], coils: int, *, recompute: bool) -> dict[str, float]:
    """Do one training step. Returns the most memory that this process has held [GB]."""
    network = EndToEndVarNet(cascades=cascades)
    network.recompute = recompute
    sample = draw_sample(coils=coils, size=size, crop=size)
    Side(network, lambda net: net(sample).image, sample.target).step()
    return {"peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}


class Watched(AloneRun):
    """A run that notes after each epoch how much memory its process holds."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.held_mb: list[float] = []

    def report(self, step: int, metrics: Any) -> None:
        """Note the resident memory."""
        super().report(step, metrics)
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        self.held_mb.append(pages * resource.getpagesize() / 2**20)

    def log(self, text: str) -> None:
        """Say nothing."""


def flat() -> dict[str, float]:
    """Train on small slices. Returns by what part the memory strays from its mean, once everything has been used."""
    with tempfile.TemporaryDirectory(prefix="mrsweep-bench-") as folder:
        root = make_brains(Path(folder, "brains"), train=SLICES // 3 + 1)
        run = Watched(Path(folder, "run"))
        epochs = -(-ITERATIONS // (3 * (SLICES // 3 + 1)))
        loop = {"epochs": epochs, "batch": 1, "num_workers": 1, "device": "cpu", "images_every": 10}
        data = {"layout": "fastmri", "root": str(root)}
        train({"model": {"kind": "unet", "chans": 4, "pools": 2}, "data": data, "mask": {"center_fraction": 0.1}, "train": loop}, run)
    held = run.held_mb[WARM_EPOCHS:]
    mean = sum(held) / len(held)
    return {"drift": max(abs(each - mean) for each in held) / mean, "mean_mb": mean, "epochs": float(epochs)}


def main(argv: Sequence[str] | None = None) -> None:
    """Measure one part, and print it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("pairs", "peak", "flat", "gpu"))
    parser.add_argument("what", nargs="?", default="unet", help="unet or varnet; of peak the number of cascades")
    parser.add_argument("--recompute", action="store_true")
    parser.add_argument("--size", type=int, nargs=2, default=(640, 368))
    parser.add_argument("--coils", type=int, default=15)
    options = parser.parse_args(argv)
    size = (options.size[0], options.size[1])
    if options.part == "pairs":
        both = sides(options.what, size, options.coils)
        assert_equal(*both)
        print(json.dumps(pairs(*both)))
    elif options.part == "peak":
        print(json.dumps(peak(int(options.what), size, options.coils, recompute=options.recompute)))
    else:
        print(json.dumps(flat() if options.part == "flat" else on_gpu(options.what, size, options.coils)))


if __name__ == "__main__":
    main()
