"""`hopline chat`: a conversation in the terminal, or one request a line from a pipe."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from hopline.agent.faces.cli.output import fail, human, say_json, visible, want_json
from hopline.agent.faces.cli.running import (
    Files,
    Json,
    PlannerName,
    ProfileName,
    RouteName,
    ToolsFrom,
    agent_of,
    exit_code_of,
    show_end,
)
from hopline.tools.errors import HopCancelled, HoplineError, NotFound, UserError
from rich.text import Text

if TYPE_CHECKING:
    from hopline.agent import Agent, Attachment
    from rich.console import Console

_STOPPED = 130

_HELP = """\
Ask in plain words; refer to what was made before: "now in French", "read that to me", "the second one".
/attach FILE …   attach files to the next request
/things          list what can be referred to, with its handle
/new             begin a new conversation
/quit            end (Ctrl-D too); Ctrl-C stops the request under way"""


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("chat")(chat)


def chat(
    attach: Files = None,
    go_on: Annotated[
        str, typer.Option("--continue", "-c", help="Run or conversation to go on with; last for the latest run.")
    ] = "",
    profile: ProfileName = "offline",
    planner: PlannerName = "",
    route: RouteName = "",
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder to copy the outputs into.")] = None,
    tools_from: ToolsFrom = None,
    json_: Json = False,
) -> None:
    """Converse: each request may refer to what was made before. From a pipe: one request a line."""
    want_json(json_)
    with agent_of(profile, tools_from) as agent:
        talk = _Talk(agent, planner=planner, route=route, out=out, json_=json_)
        talk.attach(attach or [])
        if go_on:
            talk.go_on(go_on)
        code = talk.lines(sys.stdin.isatty())
    raise typer.Exit(code)


class _Talk:
    """One conversation and where it stands."""

    def __init__(self, agent: Agent, *, planner: str, route: str, out: Path | None, json_: bool) -> None:
        self._agent = agent
        self._planner, self._route, self._out, self._json = planner, route, out, json_
        self._console: Console = human()
        self._conversation = ""
        self._position = 0
        self._waiting: list[Attachment] = []

    def go_on(self, name: str) -> None:
        """Go on with the conversation of a run, or of that id.

        Raises:
            NotFound: there is neither.
        """
        journal = self._agent.journal
        runs = journal.runs(conversation=name, limit=1)
        if not runs:
            try:
                run = journal.run(journal.resolve(name))
            except NotFound:
                raise NotFound(f"no run or conversation is called {name!r}.", hint="See: hopline runs") from None
            runs = journal.runs(conversation=run.conversation, limit=1)
        self._conversation, self._position = runs[0].conversation, runs[0].position
        self._say(f"going on with conversation {self._conversation}, {self._position} requests so far")

    def lines(self, terminal: bool) -> int:
        """Answer line after line to the end.

        Returns:
            The exit code: on a terminal 0; from a pipe that of the first request that did not end well.
        """
        if terminal:
            self._say("Ask in plain words; /help for more.")
        code = 0
        for line in self._typed() if terminal else sys.stdin:
            words = line.strip()
            if words in ("/quit", "/exit"):
                break
            if not words:
                continue
            ended = self._answered(words)
            if terminal:
                continue
            code = code or ended
            if ended == _STOPPED:  # who stops what reads from a pipe wants the rest of it no more
                return ended
        return code

    def _typed(self) -> Iterator[str]:
        import readline  # noqa: F401  # input() edits lines and remembers them with it

        while True:
            # With --json nothing but objects goes to stdout, and there input() would write its prompt.
            prompt = f"{self._position + 1}> "
            if self._json:
                sys.stderr.write(prompt)
                sys.stderr.flush()
                prompt = ""
            try:
                yield input(prompt)
            except EOFError:
                sys.stderr.write("\n")
                return

    def _answered(self, words: str) -> int:
        try:
            if words.startswith("/"):
                self._command(words)
                return 0
            return self._asked(words)
        except HoplineError as error:
            return fail(error)
        except KeyboardInterrupt:
            fail(HopCancelled("stopped."))
            return _STOPPED

    def _command(self, words: str) -> None:
        try:
            name, *given = shlex.split(words)
        except ValueError as error:
            raise UserError(f"{words!r} does not read: {error}.") from None
        match name:
            case "/help":
                self._say(_HELP)
            case "/attach" if given:
                self.attach(given)
            case "/attach":
                raise UserError("/attach takes the names of files.")
            case "/things":
                self._things()
            case "/new":
                self._conversation, self._position = "", 0
                self._say("a new conversation: what was made before is not referred to any more")
            case _:
                raise UserError(f"there is no command {name}.", hint="See /help.")

    def attach(self, files: list[str]) -> None:
        """Attach files to the next request.

        Raises:
            BadInput: one is refused; then none of them is attached.
        """
        from hopline.agent import Attachment
        from hopline.agent.attachment import open_all

        opened = open_all([Path(file).expanduser() for file in files])
        self._waiting += [Attachment(one.artifact, None, one.name) for one in opened]
        for one in opened:
            self._say(f"attached to the next request: {one.name} ({one.artifact.modality})")

    def _things(self) -> None:
        from hopline.agent.acting.conversation import Conversation

        earlier = Conversation(self._agent.journal, self._conversation)
        for turn in earlier.history():
            self._say(f"run{turn.position}: {turn.request}")
            for thing in turn.things:
                made = f"by {thing.step.tool}" if thing.step is not None else "attached"
                self._say(f"  {thing.handle}  {thing.type}, {made}")

    def _asked(self, request: str) -> int:
        from hopline.agent.faces.cli.progress import Progress

        attachments, self._waiting = self._waiting, []
        with Progress(self._console, self._agent.journal) as progress:
            try:
                done = self._agent.run(
                    request,
                    attachments,
                    conversation=self._conversation,
                    planner=self._planner,
                    route=self._route,
                    out=self._out,
                    on_event=progress,
                    approve=progress.approve,
                )
            except HoplineError:
                self._waiting = attachments  # nothing ran: they are still meant for the next try
                raise
        record = done.record
        self._conversation, self._position = record.conversation, record.position
        if self._json:
            say_json(done.to_json())
        else:
            show_end(done, talking=True)
        return exit_code_of(done)

    def _say(self, words: str) -> None:
        self._console.print(Text(visible(words), style="dim"))
