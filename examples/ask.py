"""Ask for something across modalities, look at every hop, and see what was lost.

python examples/ask.py [RECORDING]
"""

from __future__ import annotations

import sys
from pathlib import Path

from hopline.agent import Agent, Attachment


def main() -> None:
    """Draw what a recording describes."""
    memo = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "memo.m4a"
    words = memo.with_suffix(".txt")
    reference = words if words.exists() else None  # what was really said, if anybody knows
    with Agent.from_profile("offline") as agent:
        run = agent.run("Listen to the memo and draw it.", [Attachment(memo, reference=reference)])
        run.raise_for_status()
        for hop in run.hops:
            print(f"{hop.step}  {hop.backend}  {', '.join(x.kind for x in hop.mechanical_losses) or 'no cuts'}")
        for hop in run.loss().to_json()["hops"]:
            print(f"{hop['tool']}: kept {hop['kept']}, missing {hop['missing']}")
        print(f"the page: {run.page(Path('ask.html'))}")


if __name__ == "__main__":
    main()
