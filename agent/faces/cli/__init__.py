"""The command line: human text on stderr, results on stdout, `--json` everywhere.

Exit codes: 0 ok; 1 failed or partial; 2 wrong use; 3 no plan, or something is missing;
130 cancelled.
"""

from __future__ import annotations

import signal
import sys

import typer
from hopline.agent.faces.cli import chatting, experimenting, installing, journal, mcp, running, serving
from hopline.agent.faces.cli.output import fail, fail_as_bug
from hopline.tools.errors import HoplineError, UserError
from typer.exceptions import Abort, Exit, TyperException

app = typer.Typer(
    name="hopline",
    help="Ask in plain words for something that spans text, pictures, sound and video; "
    "every hop is written down, and what it lost is measured.",
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(version("hopline"))
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Show the version."),
) -> None:
    """Nothing is shared between commands."""


running.add_to(app)
chatting.add_to(app)
journal.add_to(app)
experimenting.add_to(app)
installing.add_to(app)
mcp.add_to(app)
serving.add_to(app)


def main() -> None:
    """Entry point of the command `hopline`."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        code = app(standalone_mode=False)
    except HoplineError as error:
        code = fail(error)
    except TyperException as error:
        code = fail(UserError(str(getattr(error, "message", error)), hint="See: hopline --help"))
    except Exit as stop:
        code = stop.exit_code
    except (Abort, KeyboardInterrupt):
        sys.stderr.write("cancelled\n")
        code = 130
    except BrokenPipeError:  # the reader of our output left, as `head` does
        sys.stderr.close()
        code = 1
    except Exception as error:  # nothing else should come here: a bug, told without a wall of text
        code = fail_as_bug(error)
    sys.exit(code or 0)
