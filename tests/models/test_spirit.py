"""SPIRiT: the complex convolution against numpy, the centre tap, data consistency, and a k-space that it recovers exactly."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from data.errors import BadInput
from data.kspace.description import MaskDescription
from models.optimiser import build_optimiser
from models.sampling.learned import LearnedMask
from models.spirit import Spirit, SpiritConvolution, stacked, unstacked
from models.training_config import OptimConfig
from tests.models.samples import draw_sample


def draw_kspace(shape: tuple[int, ...]) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.complex128, generator=torch.Generator().manual_seed(5))


def convolve(kspace: np.ndarray, weights: np.ndarray, padding: str) -> np.ndarray:
    """Correlate in numpy, tap by tap. kspace: (coil, y, x) complex, weights: (coil out, coil in, y, x) complex."""
    margin = weights.shape[-1] // 2
    padded = np.pad(kspace, ((0, 0), (margin, margin), (margin, margin)), mode="wrap" if padding == "circular" else "constant")
    out = np.zeros_like(kspace)
    for y, x in itertools.product(range(weights.shape[-2]), range(weights.shape[-1])):
        out += np.einsum("oi,iyx->oyx", weights[:, :, y, x], padded[:, y : y + kspace.shape[1], x : x + kspace.shape[2]])
    return out


@pytest.mark.parametrize("padding", ["zeros", "circular"])
@pytest.mark.parametrize("centre", ["all", "own"])
@pytest.mark.parametrize(("coils", "kernel"), [(1, 3), (3, 5)])
def test_block_is_a_complex_convolution_without_its_centre(coils, kernel, centre, padding):
    block = SpiritConvolution(coils, kernel, centre=centre, padding=padding).double()
    kspace = draw_kspace((2, coils, 9, 12))
    weights = (block.real + 1j * block.imag).detach().numpy().copy()
    middle = np.ones((coils, coils)) if centre == "all" else np.eye(coils)
    weights[:, :, kernel // 2, kernel // 2] *= 1 - middle
    found = unstacked(block(stacked(kspace))).detach().numpy()
    expected = np.stack([convolve(each, weights, padding) for each in kspace.numpy()])
    assert np.abs(found - expected).max() < 1e-12


@pytest.mark.parametrize("centre", ["all", "own"])
def test_centre_tap_stays_zero_while_all_others_move(centre):
    torch.manual_seed(0)
    model = Spirit(coils=3, blocks=2, kernel=3, centre=centre)
    before = [weights.clone() for weights in model.parameters()]
    sample = draw_sample(batch=2)
    optimiser = build_optimiser(OptimConfig(kind="adam", lr=1e-2, weight_decay=0.1), model)
    for _ in range(3):
        optimiser.zero_grad()
        model(sample).kspace.abs().square().sum().backward()
        optimiser.step()
    middle = torch.ones(3, 3, dtype=torch.bool) if centre == "all" else torch.eye(3, dtype=torch.bool)
    for old, weights in zip(before, model.parameters(), strict=True):
        assert (weights[:, :, 1, 1][middle] == 0).all()
        moved = weights != old
        moved[:, :, 1, 1] |= middle
        assert moved.all()


def test_sampled_points_come_out_as_they_were_measured():
    sample = draw_sample(batch=2)
    kspace = Spirit(coils=3, blocks=5, kernel=5)(sample).kspace
    measured = sample.mask[:, None].expand_as(kspace)
    assert torch.equal(kspace[measured], sample.kspace[measured])
    assert kspace[~measured].abs().max() > 0


def test_consistent_kspace_is_recovered_exactly():
    """Plane waves k(y, x) = a exp(i (u y + v x)) obey k(y, x) = k(y, x - 1) exp(i v): each block fills one column more."""
    y, x = np.mgrid[:16, :16]
    wave = np.exp(2j * np.pi * (3 * y + 2 * x) / 16)
    full = torch.from_numpy(np.stack([wave, (0.3 - 2j) * wave])).to(torch.complex128)[None]
    model = Spirit(coils=2, blocks=2, kernel=3, padding="circular").double()
    tap = np.exp(2j * np.pi * 2 / 16)
    with torch.no_grad():
        for block in model.blocks:
            block.real.zero_()
            block.imag.zero_()
            block.real[[0, 1], [0, 1], 1, 0] = tap.real
            block.imag[[0, 1], [0, 1], 1, 0] = tap.imag
    mask = torch.zeros(1, 1, 16, dtype=torch.bool)
    mask[..., ::2] = True
    sample = draw_sample(size=(16, 16), crop=(16, 16), coils=2)._replace(kspace=full * mask[:, None], mask=mask)
    assert (model(sample).kspace - full).abs().max() < 1e-12
    mask[..., 2::4] = False  # every fourth column is left: two blocks fill the first two of three, and the third is one too far
    sample = sample._replace(kspace=full * mask[:, None], mask=mask)
    error = (model(sample).kspace - full).abs().amax(dim=(0, 1, 2))
    assert error[[0, 1, 2]].max() < 1e-12
    assert error[3] > 0.5


def test_image_is_the_root_of_the_sum_of_squares():
    sample = draw_sample()
    found = Spirit(coils=3, blocks=1, kernel=3)(sample)
    kspace = found.kspace[0].detach().numpy()
    images = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(kspace, axes=(1, 2)), norm="ortho"), axes=(1, 2))
    expected = np.sqrt((np.abs(images) ** 2).sum(axis=0))[2:33, 3:35]
    assert np.abs(found.image[0].detach().numpy() - expected).max() < 1e-5
    images = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(sample.kspace[0].numpy(), axes=(1, 2)), norm="ortho"), axes=(1, 2))
    assert float(found.scale[0]) == pytest.approx(np.sqrt((np.abs(images) ** 2).sum(axis=0).mean()), rel=1e-4)


def test_first_weights_follow_the_config():
    torch.manual_seed(0)
    drawn = SpiritConvolution(8, 11, init_std=0.02)
    assert float(drawn.real[drawn.taps > 0].detach().std()) == pytest.approx(0.02, rel=0.05)
    uniform = SpiritConvolution(8, 11)
    bound = 1 / np.sqrt(8 * 11 * 11)
    assert float(uniform.imag.detach().abs().max()) == pytest.approx(bound, rel=0.01)
    assert float(uniform.imag[uniform.taps > 0].detach().std()) == pytest.approx(bound / np.sqrt(3), rel=0.05)


def full_sample() -> object:
    sample = draw_sample(batch=2, size=(16, 20), crop=(16, 20))
    kspace = draw_kspace((2, 3, 16, 20)).to(torch.complex64)
    return sample._replace(kspace=kspace, mask=torch.ones(2, 1, 20, dtype=torch.bool), full_kspace=kspace)


def with_mask(**keys: object) -> Spirit:
    torch.manual_seed(1)
    return Spirit(coils=3, blocks=2, kernel=3, sampling=LearnedMask(MaskDescription(kind="learned", **keys)))


def test_network_that_learns_its_mask_sees_nothing_else_of_kspace():
    model, sample = with_mask(tile=(16, 20), acceleration=4).eval(), full_sample()
    found = model(sample)
    assert found.sampled.sum(dim=(1, 2)).tolist() == [80, 80]
    hidden = sample._replace(kspace=torch.where(found.sampled[:, None], sample.kspace, 1e6))
    assert torch.equal(model(hidden).kspace, found.kspace)
    assert torch.equal(found.sampled[0], model.learned_state((16, 20)).mask)


def test_mask_of_a_network_in_training_is_shown_as_evaluation_would_sample_and_training_goes_on():
    model = with_mask(tile=(16, 20), noise_std=1.0).train()
    first, second = (model.learned_state((16, 20)).mask for _ in range(2))
    assert torch.equal(first, second)
    assert model.sampling.training


def test_two_learning_rates_move_mask_and_convolutions_each_at_its_own():
    model, sample = with_mask(tile=(16, 20), acceleration=4).train(), full_sample()
    before = {name: weights.detach().clone() for name, weights in model.named_parameters()}
    optimiser = build_optimiser(OptimConfig(kind="adam", lr=1e-4, lr_of={"sampling": 1e-2}), model)
    (model(sample).kspace - sample.full_kspace).abs().square().mean().backward()
    optimiser.step()
    for name, weights in model.named_parameters():
        # the first step of Adam is the learning rate along every coordinate that has a gradient
        assert float((weights.detach() - before[name]).abs().max()) == pytest.approx(1e-2 if name == "sampling.logits" else 1e-4, rel=1e-2)


def test_gradient_of_the_mask_says_what_a_measurement_would_have_corrected():
    """One block: k = (1 - M) G(M y) + M y. With G = 0 the derivative of k to M is y, at sampled points alone."""
    model = Spirit(coils=3, blocks=1, kernel=3, sampling=LearnedMask(MaskDescription(kind="learned", tile=(16, 20), noise_std=0.0)))
    sample = full_sample()
    for weights in model.blocks.parameters():
        torch.nn.init.zeros_(weights)
    model(sample).kspace.real.sum().backward()
    probability = torch.sigmoid(model.sampling.logits.detach())
    expected = sample.kspace.real.sum(dim=(0, 1)) * probability * (1 - probability) * model.learned_state((16, 20)).mask
    assert torch.allclose(model.sampling.logits.grad, expected, atol=1e-5)


def test_other_number_of_coils_is_refused():
    with pytest.raises(BadInput, match=r"model.coils is 8, the data have 3. Set model.coils: 3"):
        Spirit(coils=8, blocks=1, kernel=3)(draw_sample())
