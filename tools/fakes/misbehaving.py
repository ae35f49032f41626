"""Small tools that do nothing, or do it badly: what a runner has to survive."""

from __future__ import annotations

import ctypes
import hashlib
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hopline.tools.artifact import Artifact
from hopline.tools.backend import Backend, Call, Result
from hopline.tools.errors import BackendFailed, BadPlan, InputRefused, ResourceExceeded
from hopline.tools.exchange import Exchange
from hopline.tools.home import MEBIBYTE
from hopline.tools.spec import Tool, ports


def _tool(name: str, description: str, outputs: str = "text", *, inputs: str = "text", **parameters: object) -> Tool:
    schema = {key: value if isinstance(value, dict) else {"default": value} for key, value in parameters.items()}
    return Tool(
        name=name,
        description=description,
        inputs=ports(inputs),
        outputs=ports(outputs),
        parameters=schema,
        side_effects=name == "append",
    )


FAKE_TOOLS: tuple[Tool, ...] = (
    _tool("no_op", "Gives the text on; with a size, another text of so many bytes.", size_bytes=0),
    _tool("sleep", "Waits, then gives the text on.", seconds=60.0, report=True),
    _tool("crash", "Ends its process.", how={"enum": ["abort", "exit", "segfault"], "default": "abort"}),
    _tool("grow", "Takes more and more memory.", mib=4096, pause_s=0.01),
    _tool(
        "fail",
        "Raises an error.",
        how={"enum": ["input_refused", "resource", "backend_failed", "bug"], "default": "input_refused"},
        only="",
    ),
    _tool("append", "Appends the text to a file and gives it on.", path={"type": "string"}),
    _tool("dice", "Gives another text each time."),
    _tool("split", "One text for each line.", "text*"),
    _tool("join", "The texts as lines of one.", inputs="text*"),
    _tool("relay", "Gives the text on through no_op."),
    _tool("consult", "Gives the text on, after an exchange with an invented language model.", fail=False),
)


class NoOp(Backend):
    """`no_op:fake`: in the coordinator. The model part `load_s=0.2` makes loading slow."""

    tool = "no_op"
    name = "fake"
    heavy = False
    seeded = True

    def __init__(self, model: str = "") -> None:
        super().__init__(model)
        key, _, seconds = model.partition("=")
        if model and key != "load_s":
            raise BadPlan(f"no_op takes load_s=SECONDS, not {model!r}.")
        self._load_s = float(seconds or 0)
        self._loaded = False

    def load(self) -> None:
        if not self._loaded:
            time.sleep(self._load_s)
        self._loaded = True

    def call(self, call: Call) -> Result:
        artifact = call.one("text")
        call.progress(1.0, "done")
        size = call.parameters.get("size_bytes", 0)
        if size:
            digest = hashlib.sha256(f"{call.seed} {artifact.id}".encode()).hexdigest()
            artifact = Artifact.from_text((digest * (size // len(digest) + 1))[:size])
        return Result(outputs={"text": (artifact,)})


class NoOpInWorker(NoOp):
    """`no_op:worker`: the same in a worker process; details say which."""

    name = "worker"
    heavy = True

    def call(self, call: Call) -> Result:
        return Result(outputs=super().call(call).outputs, details={"pid": os.getpid()})


class Hold(NoOp):
    """`no_op:hold:MIB`: in a worker, where it takes so much memory for good when it is loaded."""

    name = "hold"
    heavy = True

    def __init__(self, model: str = "") -> None:
        Backend.__init__(self, model)
        self._mib = int(model or 0)
        self._held = b""

    def load(self) -> None:
        self._held = self._held or b"x" * int(self._mib * MEBIBYTE)


class Sleep(Backend):
    """`sleep:fake`: reports progress every 20 ms, or, with `report=False`, hangs deaf."""

    tool = "sleep"
    name = "fake"

    def call(self, call: Call) -> Result:
        seconds = float(call.parameters.get("seconds", 60.0))
        start = time.monotonic()
        while (gone := time.monotonic() - start) < seconds:
            if call.parameters.get("report", True):
                call.progress(gone / seconds, "sleeping")
            time.sleep(min(0.02, seconds - gone))
        return Result(outputs={"text": (call.one("text"),)})


class SleepHere(Sleep):
    """`sleep:here`: the same in the coordinator, where only progress can stop it."""

    name = "here"
    heavy = False


class Crash(Backend):
    """`crash:fake`: takes its process with it. Never call it outside a worker."""

    tool = "crash"
    name = "fake"

    def call(self, call: Call) -> Result:
        how = call.parameters.get("how", "abort")
        if how == "exit":
            os._exit(3)
        if how == "segfault":
            ctypes.string_at(0)
        os.abort()


class Grow(Backend):
    """`grow:fake`: touches 16 MiB more every `pause_s` until it holds `mib`, then gives the text on."""

    tool = "grow"
    name = "fake"

    def call(self, call: Call) -> Result:
        step = 16
        wanted = int(call.parameters.get("mib", 4096))
        held = []
        for done in range(0, wanted, step):
            call.progress(done / wanted, "growing")
            held.append(bytearray(os.urandom(4096)) * (step * MEBIBYTE // 4096))
            time.sleep(call.parameters.get("pause_s", 0.01))
        return Result(outputs={"text": (call.one("text"),)}, details={"held_mib": step * len(held)})


class Fail(Backend):
    """`fail:fake`: raises what `how` names; with `only`, for texts that hold it, else gives the text on."""

    tool = "fail"
    name = "fake"
    heavy = False

    def call(self, call: Call) -> Result:
        artifact = call.one("text")
        if call.parameters.get("only", "") not in artifact.text:
            return Result(outputs={"text": (artifact,)})
        how = call.parameters.get("how", "input_refused")
        if how == "bug":
            raise RuntimeError("a bug, on purpose")
        raise {"input_refused": InputRefused, "resource": ResourceExceeded, "backend_failed": BackendFailed}[how](
            "failed, on purpose."
        )


class FailTogether(Fail):
    """`fail:together`: the same in a worker process, up to four calls at once; details say how many."""

    name = "together"
    heavy = True
    batch = 4

    def call(self, call: Call) -> Result:
        return replace(super().call(call), details={"together": 1})

    def call_many(self, calls: Sequence[Call]) -> list[Result]:
        time.sleep(0.05)
        return [replace(self.call(call), details={"together": len(calls)}) for call in calls]


class Append(Backend):
    """`append:fake`: a side effect that can be counted: one line a call in the file `path`."""

    tool = "append"
    name = "fake"
    heavy = False

    def call(self, call: Call) -> Result:
        artifact = call.one("text")
        if "path" in call.parameters:
            with Path(call.parameters["path"]).open("a", encoding="utf-8") as file:
                file.write(" ".join(artifact.text.split()) + "\n")
        return Result(outputs={"text": (artifact,)})


class Dice(Backend):
    """`dice:fake`: not deterministic."""

    tool = "dice"
    name = "fake"
    deterministic = False
    heavy = False

    def call(self, call: Call) -> Result:
        return Result(outputs={"text": (Artifact.from_text(f"{call.one('text').text} {os.urandom(8).hex()}"),)})


class Split(Backend):
    """`split:fake`: one to many; an empty text gives an empty list."""

    tool = "split"
    name = "fake"
    heavy = False

    def call(self, call: Call) -> Result:
        return Result(outputs={"text": tuple(map(Artifact.from_text, call.one("text").text.splitlines()))})


class Join(Backend):
    """`join:fake`: many to one."""

    tool = "join"
    name = "fake"
    heavy = False

    def call(self, call: Call) -> Result:
        return Result(outputs={"text": (Artifact.from_text("\n".join(a.text for a in call.inputs["text"])),)})


class Relay(Backend):
    """`relay:fake`: calls the tool no_op, which becomes a child hop."""

    tool = "relay"
    name = "fake"
    heavy = False
    needs = ("no_op",)

    def call(self, call: Call) -> Result:
        made = call.tools["no_op"]({"text": call.inputs["text"]}, {})
        return Result(outputs={"text": made.outputs["text"]}, details={"relayed": True})


class Consult(Backend):
    """`consult:fake`: in a worker; reports one exchange whether it fails or not."""

    tool = "consult"
    name = "fake"

    def call(self, call: Call) -> Result:
        asked = ({"role": "user", "content": call.one("text").text},)
        exchange = Exchange(purpose=self.tool, identity={"model": "none"}, messages=asked, finish_reason="stop")
        if call.parameters.get("fail", False):
            raise BackendFailed("it broke off.", exchanges=[replace(exchange, error="broke off")])
        return Result(outputs={"text": (call.one("text"),)}, exchanges=(replace(exchange, reply="yes"),))


MISBEHAVING: tuple[type[Backend], ...] = (
    NoOp,
    NoOpInWorker,
    Hold,
    Sleep,
    SleepHere,
    Crash,
    Grow,
    Fail,
    FailTogether,
    Append,
    Dice,
    Split,
    Join,
    Relay,
    Consult,
)
