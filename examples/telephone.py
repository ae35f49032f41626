"""The telephone game: messages of known entropy through a chain of tools, in bits, generation by generation.

python examples/telephone.py [MESSAGES] [GENERATIONS]
"""

from __future__ import annotations

import sys

from hopline.agent import Agent
from hopline.agent.loss.bits import measure_slots
from hopline.agent.loss.grammar import SPEECH


def main() -> None:
    """Speak and transcribe each message again and again; print the bits that are left."""
    messages = SPEECH.messages(int(sys.argv[1]) if len(sys.argv) > 1 else 24)
    generations = int(sys.argv[2]) if len(sys.argv) > 2 else 2
    chain = " | ".join(["text_to_speech", "speech_to_text"] * generations)
    heard: list[list[str]] = []
    with Agent.from_profile("offline") as agent:
        for message in messages:
            run = agent.run(message.text, chain=chain).raise_for_status()
            transcripts = [hop.outputs["text"][0] for hop in run.hops if hop.tool == "speech_to_text"]
            heard.append([run.read(ref).text for ref in transcripts])
    print(f"sent: {SPEECH.bits:.1f} bits each, such as {messages[0].text!r}")
    for generation in range(generations):
        read = [SPEECH.read(texts[generation]) for texts in heard]
        bits = measure_slots(SPEECH.slots, [m.values for m in messages], read).total
        print(f"generation {generation + 1}: {bits} bits; {heard[0][generation]!r}")


if __name__ == "__main__":
    main()
