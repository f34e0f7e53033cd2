"""An entry that reports curves and saves pictures within milliseconds; one of its metrics and one of its values are attacks."""

import numpy as np

ATTACK = "<script>alert(1)</script>"


def train(config, run):
    """Report six steps; fail for one configuration."""
    if config["kind"] == "plain" and config["acc"] == 16:
        raise ValueError(f"cannot train {ATTACK}")
    level = {"plain": 0.5, "deep": 0.8}.get(config["kind"], 0.6) - 0.01 * config["acc"] + 0.005 * config["seed"]
    y, x = np.mgrid[-1:1:48j, -1:1:40j]
    truth = (x**2 + y**2 < 0.5).astype(float)
    noise = np.random.default_rng(config["seed"]).normal(0, 1 - level, truth.shape)
    for step in range(1, 7):
        run.report(step, {"val/ssim": level * (1 - 0.5**step), "train/loss": 0.5**step, ATTACK: step})
        if step % 2 == 0:
            run.image("reconstruction", np.uint8(255 * np.clip(truth + noise * 0.5**step, 0, 1)), step)
    run.image("truth", np.uint8(255 * truth), 0)
    return {"test/ssim": level, ATTACK: 1.0}
