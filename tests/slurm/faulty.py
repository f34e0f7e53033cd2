"""Runs that go wrong, each in one way; the tests of faults copy this into their project."""

import atexit
import os
import signal
import sys
import time

MB = 1024**2
FULL_GPU = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.11 GiB of which 1.31 GiB is free."


def train(config, run):
    """Meet with the fault that the config names; a run that survives it reports a loss and is done."""
    FAULTS[config["fault"]](config)
    run.report(1, loss=1.0)
    return {"survived": 1}


def grow(config):
    """Use ever more memory, 10 MB each 50 ms, up to `mb`, and keep it for as long as two looks of the worker lie apart."""
    kept = []
    while 10 * len(kept) < config["mb"]:
        kept.append(bytearray(10 * MB))
        time.sleep(0.05)
    time.sleep(1.0 if kept else 0.0)


def lose_loader(config):
    """Read through a real DataLoader whose child takes `mb` at once."""
    import torch

    class Hungry(torch.utils.data.Dataset):
        def __len__(self):
            return 1

        def __getitem__(self, index):
            return len(bytearray(config["mb"] * MB))

    for _ in torch.utils.data.DataLoader(Hungry(), num_workers=1):
        pass


def exhaust_gpu(config):
    """Run out of GPU memory: for real where there is a GPU, else by the exception that torch raises then."""
    import torch

    if config.get("micro_batch", 8) <= 2:
        return
    if torch.cuda.is_available():
        torch.empty(1 << 44, device="cuda")
    raise torch.OutOfMemoryError(FULL_GPU)


def leave_silently(config):
    """End with exit code 0, and without a result."""
    os._exit(0)


def fail_in_teardown(config):
    """Be done, and then end with exit code 1: the result is written before the exit handlers run."""
    atexit.register(os._exit, 1)


def crash(config):
    """Die as an extension in C does that follows a bad pointer."""
    os.kill(os.getpid(), signal.SIGSEGV)


def stumble(config):
    """Meet with a bug."""
    return {}["kspace"]


def survive(config):
    """Meet with nothing."""
    sys.stdout.write("all is well\n")


FAULTS = {
    "none": survive,
    "host_oom": grow,
    "loader_oom": lose_loader,
    "gpu_oom": exhaust_gpu,
    "silent": leave_silently,
    "teardown": fail_in_teardown,
    "crash": crash,
    "bug": stumble,
}
