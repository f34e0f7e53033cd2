"""mrsweep init: a starter grid, a profile and an example entry in a project of your own."""

from __future__ import annotations

import shlex
from importlib.resources import files
from pathlib import Path

import click

from orchestrator.cli.options import examples, json_option
from orchestrator.cli.show import document, say
from orchestrator.cluster.profile import shipped_templates
from orchestrator.store.errors import StoreError
from orchestrator.store.files import write_atomic

_EXAMPLES = examples(
    """
mrsweep init .
mrsweep init my-project && cd my-project && mrsweep launch grids/first.yaml
"""
)


@click.command("init", epilog=_EXAMPLES)
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=Path())
@json_option
def command(folder: Path, *, as_json: bool) -> None:
    """Write grids/first.yaml, experiment.py and slurm_templates/site.sh into FOLDER; files that exist are left alone."""
    starter = files("orchestrator.starter")
    contents = {
        folder / "grids" / "first.yaml": starter.joinpath("first.yaml").read_bytes(),
        folder / "experiment.py": starter.joinpath("experiment.py").read_bytes(),
        folder / "slurm_templates" / "site.sh": (shipped_templates() / "slurm-site.example").read_bytes(),
    }
    written = {path: not path.exists() for path in contents}
    for path, content in contents.items():
        if written[path]:
            _write(path, content)
    if as_json:
        document("init", files={str(path): "written" if fresh else "left alone" for path, fresh in written.items()})
        return
    for path, fresh in written.items():
        say(f"{path}: {'written' if fresh else 'exists, left alone'}")
    if folder.resolve() != Path.cwd():
        say(f"Go there with: cd {shlex.quote(str(folder))}")
    say("Look at it with: mrsweep expand grids/first.yaml --dry-run")
    say("Launch it with: mrsweep launch grids/first.yaml")


def _write(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, content, mode=0o666)
    except (FileExistsError, NotADirectoryError) as error:
        blocking = next((place for place in path.parents if place.exists() and not place.is_dir()), path.parent)
        raise StoreError(f"{path}: cannot be written, for {blocking} is no folder. Move it, or give another FOLDER.") from error
    except OSError as error:
        raise StoreError(f"{path}: cannot be written ({error.strerror}). Give another FOLDER.") from error
