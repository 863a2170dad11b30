"""The command line: ``python -m analysis VERB``. Each verb is one public call of the package.

Bad input ends with one line that names the argument, the value got and the value wanted, and exit code 2; Ctrl-C
with exit code 130; a check that fails (``doctor``, ``score`` against ``expected.json``) with exit code 1.
"""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import typer

from analysis.errors import ArgumentError
from analysis.verbs.ablate import ablate
from analysis.verbs.bench import bench
from analysis.verbs.claims import claims
from analysis.verbs.data import data
from analysis.verbs.enhance import enhance
from analysis.verbs.figures import figures
from analysis.verbs.models import models
from analysis.verbs.score import score
from analysis.verbs.train import train

__all__ = ["app", "main"]

COMMAND = "diffse"  # the script that an installation puts on the path; the same as python -m analysis

app = typer.Typer(
    help="""Analyse diffusion-based speech enhancement: enhance, score, train, draw.

    Every verb takes --help. Wrong input ends in one line that names the argument, the value got and the value wanted
    (exit code 2); a check that fails ends with exit code 1; Ctrl-C with 130, and nothing half-written is left.

    \b
    Examples:
      python -m analysis doctor
      python -m analysis enhance noisy.wav -o enhanced.wav
      python -m analysis enhance recordings -o enhanced
      python -m analysis score clean.wav noisy.wav enhanced.wav
      python -m analysis data list

    \b
    After "pip install" the same program is called diffse; completion of verbs, options, models and data sets:
      diffse --install-completion
    """,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main(arguments: list[str] | None = None) -> int:
    """Run one verb; returns the exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    for stream in (sys.stdout, sys.stderr):  # a file name that is no text must not stop a message about it
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        return app(args=arguments, prog_name=_program(given), standalone_mode=False) or 0
    except ArgumentError as error:
        return _fail(str(error), 2)
    except typer.Exit as stop:
        return stop.exit_code
    except typer.Abort:
        return 130
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        message = error.format_message()  # a usage error of the command line itself
        if message.startswith("Usage: "):  # no verb was given: the help itself
            print(message, file=sys.stderr)
            return 2
        return _fail(_usage(error, given), 2)


def _program(arguments: list[str]) -> str:
    """The name in usage lines and completion scripts: a shell completes commands, not ``python -m analysis``."""
    called = Path(sys.argv[0]).name == COMMAND
    completes = f"_{COMMAND.upper()}_COMPLETE" in os.environ or any(arg.endswith("-completion") for arg in arguments)
    return COMMAND if called or completes else "python -m analysis"


def _usage(error, arguments: list[str]) -> str:
    """A usage error in the form of all others: argument, value got, value wanted."""
    parameter = getattr(error, "param", None)
    for name in getattr(parameter, "opts", ()):
        if name in arguments[:-1] and "Invalid value" in error.format_message():
            kind = "a whole number" if "integer" in error.format_message() else "a number"
            return f"{parameter.name}: got {arguments[arguments.index(name) + 1]}, wanted {kind}"
    return f"{error.format_message().rstrip('.')} (see --help)"


def _fail(line: str, code: int) -> int:
    print(f"error: {line}", file=sys.stderr)
    return code


@app.command(short_help="Say what is installed and whether it works.")
def doctor() -> int:
    """Say what is installed, which device and models there are, and score a bundled clip.

    Exit code 1, with the reason, when something is missing.

    \b
    Example:
      python -m analysis doctor
    """
    from analysis.doctor import main as run

    return run()


app.command(short_help="Run a grid of settings on clips.")(ablate)
app.add_typer(bench, name="bench", short_help="Measure the speed of networks, samplers and training.")
app.command(short_help="Say which claims of the papers hold here.")(claims)
app.command()(enhance)
app.command()(score)
app.add_typer(data, name="data")
app.add_typer(models, name="models", short_help="List the shipped models, or measure them again.")
app.command(short_help="Train recipes on your data.")(train)
app.command(short_help="Draw the papers' figures and tables.")(figures)
