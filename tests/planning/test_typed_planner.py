"""The typed planner: laws that hold for every request and tool list."""

from __future__ import annotations

import pytest
from hopline.agent.planning import typed
from hopline.agent.planning.check import check
from hopline.agent.planning.clauses import is_address, parse
from hopline.agent.planning.plan import FromText, Plan, Step
from hopline.tools.errors import NoPlan
from hopline.tools.registry import Registry, installed
from hopline.tools.spec import Tool, ports
from hypothesis import given, settings
from hypothesis import strategies as st

ASK = ("Describe this photo out loud.", {"image1": "image"})


@pytest.mark.models
@settings(max_examples=30, deadline=None)
@given(st.text(max_size=80))
def test_any_request_gives_a_plan_that_checks_or_says_what_is_missing(request_text: str) -> None:
    registry = installed()
    try:
        plan = typed.plan(request_text, registry, {"audio1": "audio"})
    except NoPlan:
        return
    assert not plan.errors
    assert not [p for p in check(plan, registry, {"audio1": "audio"}) if p.severity == "error"]


@pytest.mark.models
def test_the_same_request_gives_the_same_plan() -> None:
    assert typed.plan(ASK[0], installed(), ASK[1]) == typed.plan(ASK[0], installed(), ASK[1])


@pytest.mark.models
def test_a_tool_that_has_nothing_to_do_with_it_changes_no_plan() -> None:
    before = typed.plan(ASK[0], installed(), ASK[1])
    unrelated = Tool(name="tax_form", description="Files a tax return.", inputs=ports("ledger"), outputs=ports("form"))
    registry = Registry(tools=[*installed(), unrelated])
    assert typed.plan(ASK[0], registry, ASK[1]).steps == before.steps


def test_a_file_name_after_a_colon_is_a_file_and_not_a_text() -> None:
    parsed = parse("Classify my photo: 'example.jpg'")
    assert [(literal.type, literal.text) for literal in parsed.literals] == [("image", "example.jpg")]


def test_a_quoted_address_is_an_address() -> None:
    parsed = parse("Download the sound from this URL: 'https://example.com/a.wav'")
    assert [(literal.type, literal.text) for literal in parsed.literals] == [("url", "https://example.com/a.wav")]


@pytest.mark.parametrize(("text", "errors"), [("https://example.com/a", 0), ("hello", 1)])
def test_an_input_of_type_url_takes_an_address_and_no_other_text(text: str, errors: int) -> None:
    fetch = Tool(name="fetch", description="Downloads a page.", inputs=ports("url"), outputs=ports("text"))
    plan = Plan(steps=(Step(id="step1", tool="fetch", inputs={"url": (FromText(text=text),)}),))
    assert len(check(plan, Registry(tools=[fetch]), {})) == errors
    assert is_address(text) == (errors == 0)
