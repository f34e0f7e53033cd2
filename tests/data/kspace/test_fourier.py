"""The one Fourier transform: unitary, adjoint, equal to numpy's, and right about a Gaussian."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from data.kspace.fourier import fftc, ifftc

SHAPES = [(8, 8), (7, 5), (1, 9), (3, 6, 11), (2, 3, 4, 5)]


def draw(shape: tuple[int, ...], seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.complex128, generator=torch.Generator().manual_seed(seed))


def inner(a: torch.Tensor, b: torch.Tensor) -> complex:
    return complex((a.conj() * b).sum())


@pytest.mark.parametrize("shape", SHAPES)
def test_transform_keeps_the_norm_and_is_undone_by_its_inverse(shape):
    image = draw(shape)
    assert torch.linalg.vector_norm(fftc(image)) == pytest.approx(float(torch.linalg.vector_norm(image)))
    torch.testing.assert_close(ifftc(fftc(image)), image)


@pytest.mark.parametrize("shape", SHAPES)
def test_inverse_is_the_adjoint(shape):
    x, y = draw(shape, 1), draw(shape, 2)
    assert inner(fftc(x), y) == pytest.approx(inner(x, ifftc(y)))


@pytest.mark.parametrize("shape", SHAPES)
def test_transform_is_linear(shape):
    x, y = draw(shape, 1), draw(shape, 2)
    torch.testing.assert_close(fftc((2 - 3j) * x + y), (2 - 3j) * fftc(x) + fftc(y))


@pytest.mark.parametrize("shape", SHAPES)
def test_transform_equals_that_of_numpy(shape):
    image = draw(shape)
    axes = (-2, -1)
    expected = np.fft.fftshift(np.fft.fftn(np.fft.ifftshift(image.numpy(), axes), axes=axes, norm="ortho"), axes)
    np.testing.assert_allclose(fftc(image).numpy(), expected, atol=1e-12)


@given(st.integers(2, 9), st.integers(2, 9), st.integers(2, 9))
def test_three_axes_are_one_axis_after_the_other(depth, height, width):
    volume = draw((depth, height, width))
    together = fftc(volume, axes=(-3, -2, -1))
    torch.testing.assert_close(fftc(fftc(volume), axes=(-3,)), together)


@pytest.mark.parametrize("length", [64, 65])
def test_gaussian_becomes_the_gaussian_of_inverse_width_about_the_centre(length):
    # exp(-pi x^2 / n) is its own orthonormal transform; an origin off by one pixel would turn its phase
    x = torch.arange(length, dtype=torch.float64) - length // 2
    gaussian = torch.exp(-math.pi * x**2 / length)
    image = (gaussian[:, None] * gaussian[None, :]).to(torch.complex128)
    torch.testing.assert_close(fftc(image), image, atol=1e-9, rtol=0)


@pytest.mark.parametrize("size", [(6, 6), (5, 7), (6, 5)])
def test_point_in_the_centre_becomes_a_constant(size):
    image = torch.zeros(size, dtype=torch.complex64)
    image[size[0] // 2, size[1] // 2] = 1
    torch.testing.assert_close(fftc(image), torch.full_like(image, 1 / math.sqrt(size[0] * size[1])))


def test_gradient_passes_through_odd_sizes():
    image = draw((5, 3)).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: torch.view_as_real(fftc(x)), image)


def test_real_input_is_refused_with_its_shape():
    with pytest.raises(TypeError, match=r"complex .* got torch.float32 \(4, 3\)"):
        fftc(torch.zeros(4, 3))
