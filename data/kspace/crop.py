"""Cutting images to the size that is shown and measured."""

from __future__ import annotations

from torch import Tensor


def center_crop(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Cut the middle out of images. images: (..., y, x). Returns (..., size y, size x); an axis shorter than `size` stays whole.

    The centre n // 2 of the large image becomes the centre of the small one, for odd and even sizes alike.
    """
    height, width = images.shape[-2:]
    rows, columns = min(size[0], height), min(size[1], width)
    top, left = height // 2 - rows // 2, width // 2 - columns // 2
    return images[..., top : top + rows, left : left + columns]
