"""From a config to the network that it names."""

from __future__ import annotations

from models.cine.unet import KERNELS, CineUnet
from models.model_config import CineConfig, EndToEndVarNetConfig, ModelConfig, MultiTaskVarNetConfig, UnetConfig, VarNetConfig
from models.multitask.varnet import MultiTaskVarNet
from models.network import Network
from models.unet import ZeroFilledUnet
from models.varnet import EndToEndVarNet, UnrolledVarNet


def build_model(config: ModelConfig) -> Network:
    """Make the network of `config`; it takes a Sample (a CineSample those on cine series) and returns a Reconstruction."""
    match config:
        case UnetConfig():
            return ZeroFilledUnet(chans=config.chans, pools=config.pools, drop_prob=config.drop_prob)
        case EndToEndVarNetConfig():
            return _end_to_end(config)
        case VarNetConfig():
            return UnrolledVarNet(cascades=config.cascades, chans=config.chans, pools=config.pools, drop_prob=config.drop_prob)
        case MultiTaskVarNetConfig():
            return _multi_task(config)
        case CineConfig():
            return _cine(config)


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
