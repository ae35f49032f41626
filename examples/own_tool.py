"""A plain function becomes a tool: the planner finds it by its description and types, with no packaging.

python examples/own_tool.py
"""

from __future__ import annotations

from hopline.agent import Agent
from hopline.tools.function import tool


@tool
def capitals(text: str) -> str:
    """Writes a text in capital letters."""
    return text.upper()


def main() -> None:
    """Plan and run a request that needs it."""
    with Agent.from_profile("offline", tools=[capitals]) as agent:
        run = agent.run("Write 'red boats sail' in capital letters and say it aloud.")
        run.raise_for_status()
        print(" | ".join(hop.tool for hop in run.hops))
        print(run.read(run.hops[0].outputs["text"][0]).text)


if __name__ == "__main__":
    main()
