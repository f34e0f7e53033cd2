"""One training step of a residual channel attention network, as JSON: its weights, the size of the image, memory and time.

    python -m benchmarks.rcan_step '{"groups": 1}' [--recompute] [--on-gpu 384] [--on-cpu 64]

On a GPU the memory is what torch allocated, on a CPU the peak of the process above what a step of a tiny network takes. Weights, gradients
and the two moments of Adam count.
"""

from __future__ import annotations

import argparse
import json
import resource
import time

import torch
from torch.optim import Adam

from models.rcan import Rcan

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", type=json.loads, help="keywords of Rcan, a JSON object")
    parser.add_argument("--recompute", action="store_true", help="compute the groups twice")
    parser.add_argument("--on-gpu", type=int, default=384, metavar="N", help="rows and columns of the image where there is a GPU")
    parser.add_argument("--on-cpu", type=int, default=64, metavar="N", help="the same where there is none")
    options = parser.parse_args()
    side = options.on_gpu if DEVICE == "cuda" else options.on_cpu
    print(json.dumps({"side": side, **measure(Rcan(**options.network), side=side, recompute=options.recompute)}))


def measure(network: Rcan, *, side: int, recompute: bool) -> dict[str, float]:
    """Take two steps of Adam, on an image of 4 × 4, which makes the moments, and on one of side × side. Returns what the second took."""
    tiny = Rcan(groups=1, blocks=1, chans=16).to(DEVICE)
    step(tiny, Adam(tiny.parameters()), 4, recompute=recompute)
    before_mb = peak_mb()
    optimiser = Adam(network.to(DEVICE).parameters(), lr=1e-4)
    step(network, optimiser, 4, recompute=recompute)
    seconds = step(network, optimiser, side, recompute=recompute)
    weights = sum(each.numel() for each in network.parameters())
    return {"weights": weights, "peak_mb": peak_mb() - before_mb, "seconds": seconds}


def step(network: Rcan, optimiser: Adam, side: int, *, recompute: bool) -> float:
    """Take a step on one image; return how long it took [s]. Gradients keep their memory, so that they count."""
    images = torch.rand(1, 2, side, side, device=DEVICE)
    began = time.perf_counter()
    optimiser.zero_grad(set_to_none=False)
    network(images, recompute=recompute).square().mean().backward()
    optimiser.step()
    if images.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - began


def peak_mb() -> float:
    """Return the most memory that was held so far [MB]."""
    if DEVICE == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
