"""Every backend passes the published suite, and the suite sees each thing that it is for."""

from __future__ import annotations

import contextlib
import os
import random
from pathlib import Path
from typing import Any

import pytest
from hopline.tools import Artifact, Backend, Call, MechanicalLoss, Result, Tool
from hopline.tools.conformance import check_backend
from hopline.tools.errors import HopCancelled, MissingModel
from hopline.tools.fakes import LOSSY, MISBEHAVING, drawn, fake_registry, filmed, spoken
from hopline.tools.function import tool_of
from hopline.tools.spec import ports

SAMPLE = "Three red cats sit left of a blue house."
MEDIA = {"text": Artifact.from_text(SAMPLE), "audio": spoken(SAMPLE), "image": drawn(SAMPLE), "video": filmed([SAMPLE])}


def sample(tool: Tool, **parameters: Any) -> Call:
    return Call(inputs={port.name: (MEDIA[port.type],) for port in tool.inputs}, parameters=parameters, seed=7)


@pytest.mark.parametrize("model", ["", "drop=0.3,swap=0.3"])
@pytest.mark.parametrize("kind", LOSSY, ids=lambda kind: kind.tool)
def test_the_fakes_of_standard_tools_conform(kind: type[Backend], model: str) -> None:
    tool = fake_registry().tool(kind.tool)
    assert check_backend(kind(model), tool, [sample(tool), sample(tool)]) == []


@pytest.mark.parametrize("kind", MISBEHAVING, ids=lambda kind: f"{kind.tool}:{kind.name}")
def test_the_misbehaving_fakes_conform_as_far_as_they_work(kind: type[Backend], tmp_path: Path) -> None:
    tool = fake_registry().tool(kind.tool)
    settings: dict[str, dict[str, Any]] = {
        "sleep": {"seconds": 0.05},
        "grow": {"mib": 32},
        "fail": {"only": "no such words"},
        "append": {"path": str(tmp_path / "lines")},
    }
    samples = [] if kind.tool == "crash" else [sample(tool, **settings.get(kind.tool, {}))]
    relay = {"no_op": lambda inputs, parameters: Result(outputs=inputs)}
    assert check_backend(kind(), tool, samples, tools=relay, hostile=kind.tool != "append") == []


def test_a_plain_function_conforms() -> None:
    def shout(text: str, mark: str = "!") -> str:
        """Writes a text in capital letters."""
        return text.upper() + mark

    tool, backend = tool_of(shout)
    assert check_backend(backend(), tool, [sample(tool)]) == []


ECHO = Tool(name="echo", description="Gives the text on.", inputs=ports("text"), outputs=ports("text"))


class Echo(Backend):
    """Right in every way; each class below is wrong in one."""

    tool = "echo"
    name = "right"
    heavy = False

    def call(self, call: Call) -> Result:
        call.progress(0.5, "half")
        return Result(outputs={"text": (call.one("text"),)})


class NoColons(Echo):
    name = "two:words"


class OtherTool(Echo):
    tool = "shout"


class ImportsAtOnce(Echo):
    def __init__(self, model: str = "") -> None:
        super().__init__(model)
        import numpy

        self.numpy = numpy


class ChangingIdentity(Echo):
    def identity(self) -> dict[str, str]:
        return {**super().identity(), "mood": os.urandom(4).hex()}


class LoadsOnce(Echo):
    loaded = False

    def load(self) -> None:
        if self.loaded:
            raise MissingModel("it was eaten.")
        self.loaded = True


class ForeignLoad(Echo):
    def load(self) -> None:
        raise ImportError("no such package")


class WrongPort(Echo):
    def call(self, call: Call) -> Result:
        return Result(outputs={"words": (call.one("text"),)})


class WrongModality(Echo):
    def call(self, call: Call) -> Result:
        return Result(outputs={"text": (drawn("hello"),)})


class NotUtf8(Echo):
    def call(self, call: Call) -> Result:
        return Result(outputs={"text": (Artifact(data=b"\xff", modality="text", media_type="text/plain"),)})


class TwoForOne(Echo):
    def call(self, call: Call) -> Result:
        return Result(outputs={"text": call.inputs["text"] * 2})


class TuplesInDetails(Echo):
    def call(self, call: Call) -> Result:
        return Result(outputs=call.inputs, details={"box": (1, 2)})


class NanInDetails(Echo):
    def call(self, call: Call) -> Result:
        return Result(outputs=call.inputs, details={"score": float("nan")})


class VagueLoss(Echo):
    def call(self, call: Call) -> Result:
        loss = MechanicalLoss(kind="truncated", message="Cut.", before=3, after=2)
        return Result(outputs=call.inputs, mechanical_losses=(loss,))


class TooFarProgress(Echo):
    def call(self, call: Call) -> Result:
        call.progress(50, "per cent")
        return Result(outputs=call.inputs)


class DeafToCancel(Echo):
    def call(self, call: Call) -> Result:
        with contextlib.suppress(HopCancelled):
            call.progress(0.5, "half")
        return Result(outputs=call.inputs)


class ForeignError(Echo):
    def call(self, call: Call) -> Result:
        if not call.one("text").text.isascii():
            raise UnicodeError("only ASCII")
        return Result(outputs=call.inputs)


class Poisoned(Echo):
    poisoned = False

    def call(self, call: Call) -> Result:
        self.poisoned |= not call.one("text").text
        return Result(outputs={"text": (Artifact.from_text("…"),) if self.poisoned else call.inputs["text"]})


class Random(Echo):
    def call(self, call: Call) -> Result:
        return Result(outputs={"text": (Artifact.from_text(str(random.random())),)})


class OtherBatch(Echo):
    def call_many(self, calls: Any) -> list[Result]:
        return super().call_many(calls)[:1]


def test_the_right_one_is_right() -> None:
    assert check_backend(Echo(), ECHO, [sample(ECHO), sample(ECHO)]) == []


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        (NoColons, "class: the name 'two:words'"),
        (OtherTool, "class: it serves 'shout'"),
        (ImportsAtOnce, "construction: making it imports numpy"),
        (ChangingIdentity, "identity: it changes"),
        (LoadsOnce, "load: it was eaten"),
        (ForeignLoad, "load: a foreign error leaks"),
        (WrongPort, "outputs: it gave ['words']"),
        (WrongModality, "outputs: text should be text, got image"),
        (NotUtf8, "does not decode as text/plain"),
        (TwoForOne, "outputs: text is one, but it gave 2"),
        (TuplesInDetails, "details: they do not come back"),
        (NanInDetails, "details: not plain JSON"),
        (VagueLoss, "does not say in words"),
        (TooFarProgress, "progress: a fraction is not in [0, 1]"),
        (DeafToCancel, "cancel: progress raised HopCancelled, but out came a result"),
        (ForeignError, "a foreign error leaks: UnicodeError"),
        (Poisoned, "gave other bytes (again)"),
        (Random, "gave other bytes (a fresh instance)"),
        (OtherBatch, "call_many: 2 calls gave 1 results"),
    ],
)
def test_each_fault_is_seen(kind: type[Backend], problem: str) -> None:
    problems = check_backend(kind(), ECHO, [sample(ECHO), sample(ECHO)])
    assert any(problem in found for found in problems), problems


def test_a_heavy_backend_must_be_importable() -> None:
    class Hidden(Echo):
        heavy = True

    assert any("importable module" in problem for problem in check_backend(Hidden(), ECHO, []))
