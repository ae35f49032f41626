"""What coordinator and worker say to each other: a JSON head, then the bytes it counts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from multiprocessing.connection import Connection
from typing import Any

from hopline.tools.artifact import Artifact
from hopline.tools.backend import MechanicalLoss, Result
from hopline.tools.exchange import exchange_from_json

Named = Mapping[str, tuple[Artifact, ...]]


def send(connection: Connection, head: Mapping[str, Any], artifacts: Named | None = None) -> None:
    """Send one message; artifacts travel as raw bytes after the head."""
    named = artifacts or {}
    kinds = {name: [(a.modality, a.media_type) for a in items] for name, items in named.items()}
    connection.send_bytes(json.dumps({**head, "artifacts": kinds}).encode())
    for items in named.values():
        for artifact in items:
            connection.send_bytes(artifact.data)


def receive(connection: Connection) -> tuple[dict[str, Any], dict[str, tuple[Artifact, ...]]]:
    """Receive one message.

    Raises:
        EOFError: the other side is gone.
    """
    head = json.loads(connection.recv_bytes())
    named = {
        name: tuple(
            Artifact(data=connection.recv_bytes(), modality=modality, media_type=media_type)
            for modality, media_type in kinds
        )
        for name, kinds in head.pop("artifacts").items()
    }
    return head, named


def together(each: Sequence[Named]) -> Named:
    """The artifacts of several calls or results as those of one message."""
    return {f"{number} {name}": items for number, named in enumerate(each) for name, items in named.items()}


def apart(named: Named, count: int) -> list[dict[str, tuple[Artifact, ...]]]:
    """The inverse of `together`."""
    each: list[dict[str, tuple[Artifact, ...]]] = [{} for _ in range(count)]
    for key, items in named.items():
        number, _, name = key.partition(" ")
        each[int(number)][name] = items
    return each


def result_head(result: Result) -> dict[str, Any]:
    """A result without its artifacts."""
    return {
        "details": dict(result.details),
        "mechanical_losses": [asdict(loss) for loss in result.mechanical_losses],
        "exchanges": [exchange.to_json() for exchange in result.exchanges],
    }


def result_from(head: Mapping[str, Any], outputs: Named) -> Result:
    """The inverse of `result_head`."""
    losses = tuple(MechanicalLoss(**loss) for loss in head["mechanical_losses"])
    exchanges = tuple(map(exchange_from_json, head["exchanges"]))
    return Result(outputs=outputs, details=head["details"], mechanical_losses=losses, exchanges=exchanges)
