"""What hopline itself costs for each hop, beside what else people would use, in one run.

No-op tools, each hop storing a new artifact of 1 KiB, journal on disk; LangGraph's `create_agent`
with the SQLite checkpointer and smolagents do the same chain with a scripted model. Figures are
milliseconds a hop; the ratios are what to quote.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
from hopline.agent.hops.journal import Journal
from hopline.agent.planning.plan import plan_from_json
from hopline.agent.running.events import Event
from hopline.agent.running.profile import Profile
from hopline.agent.running.runner import Runner, Wishes
from hopline.agent.running.workers import Workers
from hopline.tools.fakes import fake_registry

SIZE_BYTES = 1024


def chain(hops: int, backend: str) -> dict[str, Any]:
    """A plan of so many hops, each reading the one before."""
    steps = []
    for number in range(1, hops + 1):
        source = {"step": f"step{number - 1}"} if number > 1 else {"text": "start"}
        settings = {"size_bytes": SIZE_BYTES}
        steps.append(
            {
                "id": f"step{number}",
                "tool": "no_op",
                "backend": backend,
                "inputs": {"text": [source]},
                "parameters": settings,
            }
        )
    return {"steps": steps}


def hopline(hops: int, backend: str, folder: Path) -> dict[str, float]:
    """Run a chain and time each hop from the end of the one before."""
    workers = Workers()
    ends: list[float] = []
    resident: list[int] = []

    def on_event(event: Event) -> None:
        if event.kind == "hop_ended":
            ends.append(time.perf_counter())
            if len(ends) in (hops // 10, hops):
                resident.append(psutil.Process().memory_info().rss)

    with Journal(folder) as journal:
        runner = Runner(registry=fake_registry(), profile=Profile(name="fakes"), journal=journal, workers=workers)
        plan = plan_from_json(chain(hops, backend))
        record = runner.run(journal.begin_run("bench"), plan, Wishes(on_event=on_event))
        assert record.status == "ok", record.error
        assert len(journal.hops(record.id)) == hops
    workers.stop()
    steps = [(b - a) * 1000 for a, b in itertools.pairwise(ends)]
    return {
        "median_ms": statistics.median(steps),
        "mean_ms": statistics.mean(steps),
        "growth_mib": (resident[-1] - resident[0]) / 2**20,
    }


def langgraph(hops: int, folder: Path) -> float:
    """`create_agent`, SQLite checkpointer, a scripted model that calls one tool again and again."""
    import sqlite3

    from langchain.agents import create_agent
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
    from langchain_core.outputs import ChatGeneration, ChatResult
    from langchain_core.tools import tool
    from langgraph.checkpoint.sqlite import SqliteSaver

    class Scripted(BaseChatModel):
        calls: int = 0

        @property
        def _llm_type(self) -> str:
            return "scripted"

        def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
            return self

        def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
            self.calls += 1
            asked = [{"name": "no_op", "args": {"text": str(self.calls)}, "id": f"c{self.calls}"}]
            message = AIMessage("", tool_calls=asked if self.calls <= hops else [])
            return ChatResult(generations=[ChatGeneration(message=message)])

    @tool
    def no_op(text: str) -> str:
        """Gives a text of 1 KiB."""
        return (text * SIZE_BYTES)[:SIZE_BYTES]

    connection = sqlite3.connect(folder / "checkpoints.sqlite", check_same_thread=False)
    agent = create_agent(Scripted(), [no_op], checkpointer=SqliteSaver(connection))
    settings: Any = {"configurable": {"thread_id": "1"}, "recursion_limit": 10 * hops}
    began = time.perf_counter()
    agent.invoke({"messages": [HumanMessage("go")]}, settings)
    took = time.perf_counter() - began
    connection.close()
    return took * 1000 / hops


def smolagents(hops: int) -> float | None:
    """smolagents' ToolCallingAgent with a scripted model; nothing is saved. None if not installed."""
    try:
        from smolagents import ChatMessage, MessageRole, Model, Tool, ToolCallingAgent
        from smolagents.models import ChatMessageToolCall, ChatMessageToolCallFunction
        from smolagents.monitoring import LogLevel
    except ImportError:
        return None

    class NoOp(Tool):  # type: ignore[misc]  # untyped base
        name = "no_op"
        description = "Gives a text of 1 KiB."
        inputs = {"text": {"type": "string", "description": "any"}}
        output_type = "string"

        def forward(self, text: str) -> str:
            return (text * SIZE_BYTES)[:SIZE_BYTES]

    class Scripted(Model):  # type: ignore[misc]  # untyped base
        calls = 0

        def generate(self, messages: Any, **kwargs: Any) -> Any:
            self.calls += 1
            if self.calls <= hops:
                function = ChatMessageToolCallFunction(name="no_op", arguments={"text": str(self.calls)})
            else:
                function = ChatMessageToolCallFunction(name="final_answer", arguments={"answer": "done"})
            call = ChatMessageToolCall(id=f"c{self.calls}", type="function", function=function)
            return ChatMessage(role=MessageRole.ASSISTANT, content="", tool_calls=[call])

    agent = ToolCallingAgent(tools=[NoOp()], model=Scripted(), max_steps=hops + 2, verbosity_level=LogLevel.OFF)
    began = time.perf_counter()
    agent.run("go")
    return (time.perf_counter() - began) * 1000 / hops


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="without the 10,000 hops")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    sizes = (100, 1000) if options.quick else (100, 1000, 10_000)
    rows: dict[str, Any] = {}

    def fresh(work: Callable[..., Any], *arguments: Any) -> Any:
        with tempfile.TemporaryDirectory() as folder:
            return work(*arguments, Path(folder))

    for size in sizes:
        for where, backend in (("in process", "no_op:fake"), ("warm worker", "no_op:worker")):
            rows[f"hopline, {where}, {size} hops"] = fresh(hopline, size, backend)
    for size in (20, 200):
        rows[f"LangGraph + SQLite, {size} hops"] = {"mean_ms": fresh(langgraph, size)}
    small = smolagents(200)
    if small is not None:
        rows["smolagents, nothing saved, 200 hops"] = {"mean_ms": small}
    base = rows["hopline, in process, 1000 hops"]["mean_ms"]
    if options.json:
        print(json.dumps({name: {**row, "ratio": row["mean_ms"] / base} for name, row in rows.items()}))
        return
    print(f"{'':42}{'median, ms':>12}{'mean, ms':>10}{'ratio':>8}{'memory grown, MiB':>20}")
    for name, row in rows.items():
        median = f"{row['median_ms']:.2f}" if "median_ms" in row else ""
        grown = f"{row['growth_mib']:.1f}" if "growth_mib" in row else ""
        print(f"{name:42}{median:>12}{row['mean_ms']:>10.2f}{row['mean_ms'] / base:>8.2f}{grown:>20}")
    print(
        "ratio of means: to hopline in process at 1,000 hops; hopline stores every artifact and both ends of every hop"
    )


if __name__ == "__main__":
    main()
