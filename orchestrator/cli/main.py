"""The command line: one verb a module, loaded when it is called; errors become one line and an exit code."""

from __future__ import annotations

import errno
import gc
import os
import sys
from importlib import import_module
from typing import Any

import click

from orchestrator.store.errors import InputError, MrsweepError, did_you_mean

VERBS = {
    "init": "Write a starter grid, a profile and an example entry into a folder.",
    "doctor": "Say what works here: scheduler, limits, accounting, filesystem.",
    "expand": "Write the manifests of a grid; --dry-run counts and shows them.",
    "launch": "Submit the runs of a grid that are missing.",
    "run": "Compute one configuration here, in the foreground.",
    "status": "Show states, metrics, time left, and why runs wait or failed.",
    "watch": "Record what happens, take up interrupted runs, fill free slots.",
    "logs": "Print the output of a run.",
    "requeue": "Submit failed or cancelled runs again.",
    "cancel": "End runs, or keep them from starting.",
    "prune": "Move what is not wanted any more to the trash, and empty it.",
    "restore": "Bring back what prune moved.",
    "summary": "Write tables of results: runs, means over seeds, the best of each group.",
    "plot": "Draw a metric over a key or over the steps, with intervals over the seeds.",
    "tensorboard": "Show the runs with TensorBoard, under readable names.",
    "report": "Write one HTML page about a grid: plots, pictures, failures, best runs.",
}


FEW_COLLECTIONS = (1_000_000, 50, 1000)
"""A command makes some 100,000 values that live to its end: looking for cycles among them took a fifth of status's time."""


class _Verbs(click.Group):
    """A group whose help needs no verb's module."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        command: click.Command = import_module(f"orchestrator.cli.{cmd_name}").command
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb; for an unknown one name those that are near."""
        if args and not args[0].startswith("-") and args[0] not in VERBS:
            raise click.UsageError(f"there is no verb '{args[0][:40]}'. {did_you_mean(args[0], VERBS)}", ctx)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb; a reader that has seen enough, as `head` does, is no error (click would make it one)."""
        _refuse_lost_folder()
        try:
            answer = super().invoke(ctx)
            sys.stdout.flush()
        except click.UsageError as error:
            if error.ctx is None and ctx.invoked_subcommand:  # click names no verb where an option lacks its value
                verb = self.get_command(ctx, ctx.invoked_subcommand)
                error.ctx = click.Context(verb, parent=ctx, info_name=ctx.invoked_subcommand) if verb else ctx
            raise
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        return answer

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="mrsweep", prog_name="mrsweep")
def cli() -> None:
    """Grid searches on Slurm: launch them, keep them alive, pull the tables.

    GRID is a file (grids/mtl_knee.yaml) or the name of a folder under runs/.
    """


def main(argv: list[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 a run or the cluster failed, 2 wrong input."""
    gc.set_threshold(*FEW_COLLECTIONS)
    try:
        code = cli.main(args=argv, prog_name="mrsweep", standalone_mode=False)
    except click.exceptions.Exit as leave:
        code = leave.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        code = error.exit_code
    except click.ClickException as error:
        click.echo(f"mrsweep: {one_line(_usage_error(error))}", err=True)
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("Stopped; nothing further was done.", err=True)
        code = 130
    except MrsweepError as error:
        click.echo(f"mrsweep: {one_line(str(error))}", err=True)
        code = error.exit_code
    except OSError as error:
        click.echo(f"mrsweep: {_os_error(error)}", err=True)
        code = 1
    sys.exit(code if isinstance(code, int) else 0)


def one_line(text: str) -> str:
    """Return the text on one line, without control or direction characters that could fool a terminal."""
    flat = " ".join(text.split())
    return "".join(char if char.isprintable() else "�" for char in flat)


def _usage_error(error: click.ClickException) -> str:
    """Return what click found wrong, and where the right way is written."""
    message = error.format_message()
    message = message if message.endswith((".", "?")) else f"{message}."
    context = error.ctx if isinstance(error, click.UsageError) else None
    return f"{message} See: {context.command_path if context else 'mrsweep'} --help"


_FULL = (errno.ENOSPC, errno.EDQUOT)
"""Errors of a disk that takes no more."""


def _os_error(error: OSError) -> str:
    """Return what the system refused, where, and the way out of what has one."""
    place = f"{error.filename}: " if error.filename else ""
    way_out = " Free some space on that disk, or ask for a larger quota." if error.errno in _FULL else ""
    return one_line(f"{place}{error.strerror or error}.{way_out}")


def _refuse_lost_folder() -> None:
    try:
        os.getcwd()
    except OSError as error:
        raise InputError(f"the working folder is not there any more ({error.strerror}). Go to another one with: cd DIR") from error
