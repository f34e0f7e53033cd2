"""The networks once more, straight from the papers' formulas, on named weights: slow, and independent of the code under test."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

Weights = Mapping[str, Tensor]


def below(weights: Weights, prefix: str) -> dict[str, Tensor]:
    """Return the weights of a part, its name cut off."""
    return {name.removeprefix(f"{prefix}."): value for name, value in weights.items() if name.startswith(f"{prefix}.")}


def transform(values: Tensor, sign: int) -> Tensor:
    """Sum exp(sign 2 pi i j k / n) over the last two axes, indices counted from n // 2, divided by the root of n."""
    matrices = []
    for length in values.shape[-2:]:
        index = torch.arange(length, dtype=torch.float64) - length // 2
        matrices.append(torch.exp(sign * 2j * torch.pi * torch.outer(index, index) / length) / length**0.5)
    return torch.einsum("ju,...uv,kv->...jk", matrices[0], values, matrices[1])


def instance_norm(image: Tensor) -> Tensor:
    mean, variance = image.mean(dim=(2, 3), keepdim=True), image.var(dim=(2, 3), keepdim=True, correction=0)
    return (image - mean) / (variance + 1e-5).sqrt()


def leaky(image: Tensor) -> Tensor:
    return torch.where(image > 0, image, 0.2 * image)


def conv(image: Tensor, weight: Tensor) -> Tensor:
    return leaky(instance_norm(F.conv2d(image, weight, padding=1)))


def conv_twice(image: Tensor, weights: Weights, prefix: str) -> Tensor:
    return conv(conv(image, weights[f"{prefix}.0.weight"]), weights[f"{prefix}.4.weight"])


def up(image: Tensor, weight: Tensor) -> Tensor:
    """Each pixel becomes 2 x 2 pixels of its own."""
    batch, _, rows, columns = image.shape
    pixels = torch.einsum("biyx,iouv->boyuxv", image, weight)
    return leaky(instance_norm(pixels.reshape(batch, -1, 2 * rows, 2 * columns)))


def half(image: Tensor) -> Tensor:
    return (image[..., 0::2, 0::2] + image[..., 0::2, 1::2] + image[..., 1::2, 0::2] + image[..., 1::2, 1::2]) / 4


def encode(image: Tensor, weights: Weights, pools: int) -> tuple[Tensor, list[Tensor]]:
    kept = []
    for level in range(pools):
        kept.append(conv_twice(image, weights, f"down.{level}"))
        image = half(kept[-1])
    return conv_twice(image, weights, "bottom"), kept


def decode(image: Tensor, kept: list[Tensor], weights: Weights) -> Tensor:
    for level, skip in enumerate(reversed(kept)):
        image = conv_twice(torch.cat([up(image, weights[f"up.{level}.0.weight"]), skip], dim=1), weights, f"merge.{level}")
    return F.conv2d(image, weights["out.weight"], weights["out.bias"])


def unet(image: Tensor, weights: Weights, pools: int) -> Tensor:
    return decode(*encode(image, below(weights, "encoder"), pools), below(weights, "decoder"))


def normalised(network: Callable[[Tensor], Tensor], image: Tensor) -> Tensor:
    """Real and imaginary part as channels of mean 0 and standard deviation 1, zeros around up to a multiple of 16."""
    parts = torch.stack([image.real, image.imag], dim=1)
    mean, std = parts.mean(dim=(2, 3), keepdim=True), parts.std(dim=(2, 3), keepdim=True)
    rows, columns = image.shape[-2:]
    frame = parts.new_zeros(len(parts), 2, -(-rows // 16) * 16, -(-columns // 16) * 16)
    top, left = (frame.shape[2] - rows) // 2, (frame.shape[3] - columns) // 2
    frame[:, :, top : top + rows, left : left + columns] = (parts - mean) / std
    output = network(frame)[:, :, top : top + rows, left : left + columns] * std + mean
    return torch.complex(output[:, 0], output[:, 1])


def step(kspace: Tensor, reference: Tensor, mask: Tensor, maps: Tensor, eta: Tensor, network: Callable[[Tensor], Tensor]) -> Tensor:
    """k - eta M (k - k_ref) - F S U(sum S* F^-1 k)."""
    image = (transform(kspace, +1) * maps.conj()).sum(dim=1)
    refined = transform(maps * normalised(network, image)[:, None], -1)
    return kspace - eta * mask[:, None] * (kspace - reference) - refined


def gate(seen: Tensor, weights: Weights) -> Tensor:
    hidden = leaky(instance_norm(F.conv2d(seen, weights["0.weight"], weights["0.bias"])))
    return torch.sigmoid(instance_norm(F.conv2d(hidden, weights["3.weight"], weights["3.bias"])))


def attention_unet(image: Tensor, weights: Weights, pools: int, task: int) -> Tensor:
    """A shared U-Net with g0 and g1 at each level, and a task's attention beside it."""
    own = below(weights, f"tasks.{task}")
    g0, g1 = [], []
    for level in range(pools + 1):
        g0.append(conv(half(g1[-1]) if level else image, weights[f"first.{level}.0.weight"]))
        g1.append(conv(g0[-1], weights[f"second.{level}.0.weight"]))
    u0, u1 = [], []
    for level in range(pools):
        skip = g1[pools - 1 - level]
        u0.append(up(u1[-1] if level else g1[-1], weights[f"up.{level}.0.weight"]))
        u1.append(conv_twice(torch.cat([u0[-1], skip], dim=1), weights, f"merge.{level}"))
    u1[-1] = F.conv2d(u1[-1], weights["out.weight"], weights["out.bias"])

    seen = g0[0]
    for level in range(pools + 1):
        picked = gate(seen, below(own, f"down.{level}")) * g1[level]
        attended = conv(picked, weights[f"attended_down.{level}.0.weight"])
        if level < pools:
            seen = torch.cat([g0[level + 1], half(attended)], dim=1)
    for level in range(pools):
        raised = conv(up(attended, weights[f"attended_up.{level}.0.0.weight"]), weights[f"attended_up.{level}.1.0.weight"])
        attention = gate(torch.cat([u0[level], raised], dim=1), below(own, f"up.{level}"))
        if level == pools - 1:
            attention = F.conv2d(attention, own["head.weight"], own["head.bias"])
        attended = attention * u1[level]
    return attended
