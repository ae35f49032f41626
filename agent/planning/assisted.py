"""The assisted planner: the typed planner's search with a local language model's judgement beside the encoder.

The model's choice of tools is one more voice in the search, which still binds and checks every input.
"""

from __future__ import annotations

from collections.abc import Mapping

from hopline.agent.planning.choosing import Ask, judge
from hopline.agent.planning.plan import Plan
from hopline.agent.planning.typed import Reading, search
from hopline.tools.errors import HoplineError
from hopline.tools.registry import Registry


def plan(request: str, registry: Registry, attachments: Mapping[str, str], ask: Ask) -> Plan:
    """The best checked plan of a request, as the typed planner's with a judge.

    Args:
        request: plain words.
        registry: what can be called; only declarations are read.
        attachments: type by handle.
        ask: one exchange with the model.

    Returns:
        A plan by `assisted`, with what the model named in `why`; or by `typed`, with `fallback` in
        `why`, where it could not be asked. Small talk is not put to it.

    Raises:
        NoPlan: an input of the best plan has no producer.
    """
    reading = Reading(request, registry, attachments)
    if reading.small_talk or not reading.matches:
        return search(reading, "typed")
    try:
        judged = judge(request, reading.matches, list(reading.registry), attachments, ask, reading.worked())
    except HoplineError as error:
        made = search(reading, "typed")
        return made.model_copy(update={"why": {**made.why, "fallback": str(error)}})
    return search(reading, "assisted", judged)
