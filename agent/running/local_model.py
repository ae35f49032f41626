"""The local language model as planners ask it: in a worker process that stays warm."""

from __future__ import annotations

import importlib.util
import json
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from hopline.agent.running.workers import Workers
from hopline.tools.artifact import Artifact
from hopline.tools.backend import Call
from hopline.tools.errors import HoplineError, HopTimeout
from hopline.tools.exchange import Exchange
from hopline.tools.gguf import Completion
from hopline.tools.home import limits, setting
from hopline.tools.models import find


class LocalModel:
    """Asks the small language model of this machine, one exchange at a time.

    Args:
        workers: where its process lives.
    """

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        self._backend = Completion()

    @property
    def present(self) -> bool:
        """Its package and its weights are on this machine; looks, and loads nothing."""
        packages = all(importlib.util.find_spec(package) for package in self._backend.packages)
        return packages and all(find(model).present for model in self._backend.models)

    def ask(
        self,
        messages: Sequence[Mapping[str, str]],
        schema: Mapping[str, Any],
        most_tokens: int,
        *,
        purpose: str,
        kept: list[Exchange],
        cancelled: threading.Event | None = None,
    ) -> Exchange:
        """One exchange, its answer made to follow a JSON schema.

        Args:
            messages: `role` and `content` each; all but the last one are kept for the next time.
            schema: of the answer.
            most_tokens: of the answer.
            purpose: written down with it.
            kept: gets the exchange, one that failed too.
            cancelled: set by somebody to stop it.

        Raises:
            MissingExtra, MissingModel: it is not on this machine.
            HopError: it failed, was stopped, or took longer than `limits().plan_timeout_s`; in the
                last two cases its process is ended.
        """
        worker = self._workers.of(self._backend)
        timeout_s = limits().plan_timeout_s
        call = Call(
            inputs={"messages": (Artifact.from_text(json.dumps(messages, ensure_ascii=False)),)},
            parameters={"schema": dict(schema), "most_tokens": most_tokens, "purpose": purpose, "same_beginning": True},
        )
        try:
            done = worker.call(
                call,
                timeout_s=timeout_s,
                memory_mib=limits().hop_memory_mib,
                progress=lambda fraction, words: None,
                cancelled=cancelled or threading.Event(),
            )
        except HopTimeout:
            raise HopTimeout(
                f"it took longer than its {timeout_s:g} s to answer.", hint=f"Raise {setting('plan_timeout_s')}."
            ) from None
        except HoplineError as error:
            kept.extend(error.exchanges)
            raise
        kept.extend(done.result.exchanges)
        return done.result.exchanges[0]
