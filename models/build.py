"""From a config to the network that it names."""

from __future__ import annotations

from data.kspace.description import LEARNED_KINDS, MaskDescription
from models.cine.unet import KERNELS, CineUnet
from models.model_config import (
    CineConfig,
    EndToEndVarNetConfig,
    ModelConfig,
    MultiTaskVarNetConfig,
    SpiritConfig,
    UnetConfig,
    VarNetConfig,
    VarNetRcanConfig,
)
from models.multitask.varnet import MultiTaskVarNet
from models.network import Network
from models.rcan import Rcan
from models.sampling.learned import LearnedMask
from models.spirit import Spirit
from models.unet import ZeroFilledUnet
from models.varnet import EndToEndVarNet, UnrolledVarNet
from models.varnet_rcan import VarNetRcan


def build_model(config: ModelConfig, mask: MaskDescription | None = None) -> Network:
    """Make the network of `config`; it takes a Sample (a CineSample those on cine series) and returns a Reconstruction.

    mask: where the network itself learns it, it is part of the network."""
    match config:
        case UnetConfig():
            return ZeroFilledUnet(chans=config.chans, pools=config.pools, drop_prob=config.drop_prob)
        case EndToEndVarNetConfig():
            return _end_to_end(config)
        case VarNetConfig():
            return UnrolledVarNet(cascades=config.cascades, chans=config.chans, pools=config.pools, drop_prob=config.drop_prob)
        case MultiTaskVarNetConfig():
            return _multi_task(config)
        case VarNetRcanConfig():
            return _refining(config)
        case CineConfig():
            return _cine(config)
        case SpiritConfig():
            return _spirit(config, mask)


def _end_to_end(config: EndToEndVarNetConfig) -> EndToEndVarNet:
    return EndToEndVarNet(
        cascades=config.cascades,
        chans=config.chans,
        pools=config.pools,
        sens_chans=config.sens_chans,
        sens_pools=config.sens_pools,
        drop_prob=config.drop_prob,
    )


def _multi_task(config: MultiTaskVarNetConfig) -> MultiTaskVarNet:
    return MultiTaskVarNet(
        config.blocks,
        tasks=config.tasks,
        share_etas=config.share_etas,
        chans=config.chans,
        pools=config.pools,
        drop_prob=config.drop_prob,
    )


def _refining(config: VarNetRcanConfig) -> VarNetRcan:
    rcan = Rcan(
        groups=config.groups,
        blocks=config.blocks,
        chans=config.chans,
        bottleneck=config.block == "bottleneck",
        reduction=config.reduction,
        res_scale=config.res_scale,
    )
    return VarNetRcan(
        _end_to_end(config.frozen),
        rcan,
        add_image=config.add_image,
        ensemble=config.ensemble,
        ensemble_validation=config.ensemble_validation,
    )


def _cine(config: CineConfig) -> CineUnet:
    return CineUnet(
        KERNELS[str(config.__struct_config__.tag)],
        regularisation=config.regularisation,
        chans=config.chans,
        pools=config.pools,
        up_kernel=config.up_kernel,
        residual=config.residual,
        regularise_last=config.regularise_last,
    )


def _spirit(config: SpiritConfig, mask: MaskDescription | None) -> Spirit:
    return Spirit(
        coils=config.coils,
        blocks=config.blocks,
        kernel=config.kernel,
        centre=config.centre,
        padding=config.padding,
        init_std=config.init_std,
        sampling=LearnedMask(mask) if mask is not None and mask.kind in LEARNED_KINDS else None,
    )
