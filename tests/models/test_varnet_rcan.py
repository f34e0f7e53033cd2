"""A frozen VarNet with an Rcan behind it: what is frozen, how images are scaled, where the VarNet's image comes from."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from data.errors import BadInput
from data.volumes.loading import Sample
from models.rcan import Rcan
from models.varnet import EndToEndVarNet
from models.varnet_rcan import VarNetRcan
from tests.models.samples import draw_sample, to_double


class Ramp(nn.Module):
    """Stands in for an Rcan: the first channel, darker to the right."""

    def forward(self, images: Tensor, *, recompute: bool = False) -> Tensor:
        return images[:, :1] * torch.linspace(1, 0, images.shape[-1], dtype=images.dtype)


class Nothing(nn.Module):
    """Stands in for an Rcan: zeros."""

    def forward(self, images: Tensor, *, recompute: bool = False) -> Tensor:
        return torch.zeros_like(images[:, :1])


def make(rcan: nn.Module | None = None, **changed: object) -> VarNetRcan:
    torch.manual_seed(0)
    varnet = EndToEndVarNet(cascades=1, chans=2, pools=2, sens_chans=2, sens_pools=2, drop_prob=0.5)
    return VarNetRcan(varnet, rcan or Rcan(groups=1, blocks=2, chans=8, reduction=2), **changed).double()


def draw(**changed: object) -> Sample:
    return to_double(draw_sample(size=(19, 22), crop=(17, 21), **changed))


def test_frozen_weights_get_no_gradient_and_do_not_move():
    model, sample = make().train(), draw()
    before = {name: values.clone() for name, values in model.state_dict().items()}
    optimiser = torch.optim.Adam([weights for weights in model.parameters() if weights.requires_grad], lr=0.1)
    for _ in range(2):
        (model(sample).image - sample.target).abs().mean().backward()
        optimiser.step()
    assert all(weights.grad is None and not weights.requires_grad for weights in model.varnet.parameters())
    moved = {name for name, values in model.state_dict().items() if not torch.equal(values, before[name])}
    assert moved == {name for name in before if name.startswith("rcan.")}


def test_frozen_part_drops_nothing_while_the_rest_trains():
    model, sample = make().train(), draw()
    assert model.rcan.training
    assert torch.equal(model.frozen_image(sample), model.frozen_image(sample))


@pytest.mark.parametrize("add_image", [False, True])
def test_output_is_scaled_back_by_the_statistics_of_the_frozen_image(add_image):
    sample = draw(batch=2)
    image = make().frozen_image(sample)
    mean, std = image.mean(dim=(1, 2)), image.std(dim=(1, 2))
    empty = make(Nothing(), add_image=add_image)(sample)
    torch.testing.assert_close(empty.image, image if add_image else mean[:, None, None].expand_as(image))
    torch.testing.assert_close(empty.scale, std)
    ramp = torch.linspace(1, 0, 21, dtype=torch.double)
    expected = (image - mean[:, None, None]) * ramp + (image if add_image else mean[:, None, None])
    torch.testing.assert_close(make(Ramp(), add_image=add_image)(sample).image, expected)


def test_each_image_is_normalised_alone_and_scales_through():
    model, sample = make().eval(), draw(batch=2)
    together = model(sample).image
    brighter = sample._replace(kspace=3 * sample.kspace, grappa=7 * sample.grappa)
    torch.testing.assert_close(model(brighter).image, 3 * together, rtol=1e-6, atol=0)
    for place in range(2):
        alone = Sample(**{name: values[place : place + 1] for name, values in sample._asdict().items() if values is not None})
        torch.testing.assert_close(model(alone).image, together[place : place + 1])


def test_image_of_grappa_is_looked_at():
    model, sample = make().eval(), draw()
    assert not torch.allclose(model(sample).image, model(sample._replace(grappa=sample.grappa.flip(-1))).image)


def test_frozen_image_that_comes_with_the_sample_saves_the_varnet(monkeypatch):
    model, sample = make().eval(), draw()
    expected = model(sample).image
    kept = sample._replace(frozen_image=model.frozen_image(sample), kspace=torch.zeros_like(sample.kspace))
    monkeypatch.setattr(model.varnet, "forward", lambda sample: pytest.fail("the VarNet ran"))
    torch.testing.assert_close(model(kept).image, expected)


def test_half_precision_of_training_leaves_the_frozen_image_alone():
    model, sample = make().float(), draw_sample(size=(19, 22), crop=(17, 21))
    expected = model.varnet(sample).image.detach()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(model.frozen_image(sample), expected)


@pytest.mark.parametrize(
    ("validation", "training", "testing", "averaged"),
    [(False, False, True, True), (False, False, False, False), (True, False, False, True), (True, True, False, False)],
)
def test_mirrored_images_are_averaged_where_they_are_asked_for(validation, training, testing, averaged):
    model, sample = make(Ramp(), ensemble=("flip_x",), ensemble_validation=validation).train(training), draw()
    model.testing = testing
    found = model(sample).image
    image = model.frozen_image(sample)
    ramp = torch.linspace(1, 0, 21, dtype=torch.double)
    factor = (ramp + ramp.flip(0)) / 2 if averaged else ramp
    torch.testing.assert_close(found, (image - image.mean()) * factor + image.mean())


def test_hash_is_that_of_the_frozen_weights_alone():
    model, same, other = make(), make(), make()
    with torch.no_grad():
        same.rcan.head.bias += 1
        other.varnet.cascades[0].eta += 1e-12
    assert model.frozen_hash() == same.frozen_hash()
    assert model.frozen_hash() != other.frozen_hash()


def test_sample_without_grappa_is_told():
    with pytest.raises(
        BadInput, match=r"expected grappa \(1, 17, 21\) \(batch, y, x\), the data hold none. Make it: python -m data.convert"
    ):
        make()(draw()._replace(grappa=None))
