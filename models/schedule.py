"""The learning rate as a function of the epoch alone, so that a resumed run has nothing to remember of it."""

from __future__ import annotations

import math

from models.training_config import ConstantSchedule, CosineSchedule, ExponentialSchedule, OptimConfig, StepSchedule


def rate_factor(config: OptimConfig, epoch: int) -> float:
    """Return by what the learning rates are multiplied in `epoch`, counted from 1. The schedule's own epochs begin after the warm-up."""
    if epoch <= config.warmup_epochs:
        return epoch / (config.warmup_epochs + 1)
    passed = epoch - 1 - config.warmup_epochs
    match config.schedule:
        case ConstantSchedule():
            return 1.0
        case StepSchedule(step_epochs=step_epochs, gamma=gamma):
            return gamma ** (passed // step_epochs)
        case ExponentialSchedule(gamma=gamma):
            return gamma**passed
        case CosineSchedule(epochs=epochs, last_factor=last_factor):
            return last_factor + (1 - last_factor) * (1 + math.cos(math.pi * min(passed / epochs, 1.0))) / 2
