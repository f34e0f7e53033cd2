"""What holds for every test: nothing of the caller's Slurm reaches it, and property tests are repeatable in CI."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator

import hypothesis
import pytest

from tests.slurm.cluster_process import SLURM_PREFIXES

hypothesis.settings.register_profile("mrsweep", deadline=None, derandomize=os.environ.get("CI") == "true")
hypothesis.settings.load_profile("mrsweep")


@pytest.fixture(autouse=True)
def _no_slurm_of_the_caller(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Hide SLURM_CONF, SBATCH_PARTITION and the like from a test that asked for no cluster; each has a call budget of its own."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("XDG_RUNTIME_DIR", "XDG_STATE_HOME"):
            patch.setenv(name, tempfile.mkdtemp(dir=tmp_path_factory.getbasetemp()))
        if not {"slurm", "slurm_alone"} & set(request.fixturenames):
            for key in [key for key in os.environ if key.startswith(SLURM_PREFIXES)]:
                patch.delenv(key)
        yield
