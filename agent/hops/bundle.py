"""A run in one file: `export` and `import`. Data only; every digest is checked on the way in.

A zip of `run.json` (format `hopline.bundle/1`: the records as plain data) and one
`artifacts/SHA256` for each artifact. Nothing in it is executed, unpickled or used as a path.
"""

from __future__ import annotations

import json
import os
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from hopline.agent.hops import records
from hopline.agent.hops.journal import Journal
from hopline.agent.hops.records import ArtifactRef, Hop, ModelCall, Probe, RunRecord
from hopline.tools.artifact import Artifact
from hopline.tools.errors import BadInput
from hopline.tools.home import MEBIBYTE, limits, setting

FORMAT = "hopline.bundle/1"
_MAX_RECORDS_BYTES = 256 * MEBIBYTE
_ID = re.compile(r"[0-9a-f]{64}")
_RUN_ID = re.compile(r"[0-9a-z-]{1,64}")


def export_run(journal: Journal, run_id: str, path: Path) -> None:
    """Write a run with its hops, probes, model calls and artifacts.

    Raises:
        NotFound, StoreCorrupt: the run or one of its artifacts is not whole.
    """
    bundle = _Bundle(
        run=journal.run(run_id),
        hops=journal.hops(run_id),
        probes=journal.probes(run_id),
        model_calls=journal.model_calls(run_id),
    )
    aside = path.with_name(f".{path.name}.part")
    try:
        with zipfile.ZipFile(aside, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("run.json", json.dumps(bundle.to_json(), ensure_ascii=False, indent=1))
            for ref in bundle.artifacts():
                archive.writestr(f"artifacts/{ref.id}", journal.read(ref).data)
        os.replace(aside, path)
    except OSError as error:
        raise BadInput(f"{path} cannot be written: {error.strerror}.") from None
    finally:
        aside.unlink(missing_ok=True)


def import_run(journal: Journal, path: Path) -> RunRecord:
    """Read a run from a bundle into this journal, under its own id.

    Returns:
        The run's record; hops got new numbers here.

    Raises:
        BadInput: not a bundle, a format from the future, a digest that does not match, or a
            run that is here already. The journal is as it was.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            bundle = _Bundle.read(_records(archive, path))
            for ref in bundle.artifacts():
                journal.store.put(_artifact(archive, ref, path))
    except (OSError, zipfile.BadZipFile, zipfile.LargeZipFile, RuntimeError) as error:
        raise BadInput(f"{path} is not a bundle of hopline ({error}).") from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadInput(f"{path} does not read as a bundle ({type(error).__name__}: {error}).") from None
    return journal.adopt(bundle.run, bundle.hops, bundle.probes, bundle.model_calls)


def _records(archive: zipfile.ZipFile, path: Path) -> Mapping[str, Any]:
    if archive.getinfo("run.json").file_size > _MAX_RECORDS_BYTES:
        raise BadInput(f"{path}: its records are larger than {_MAX_RECORDS_BYTES // MEBIBYTE} MiB.")
    data = json.loads(archive.read("run.json"))
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        found = data.get("format") if isinstance(data, dict) else None
        raise BadInput(f"{path} has format {found!r}; this hopline reads {FORMAT}.")
    return data


def _artifact(archive: zipfile.ZipFile, ref: ArtifactRef, path: Path) -> Artifact:
    if not _ID.fullmatch(ref.id):
        raise BadInput(f"{path}: {ref.id!r} is not the id of an artifact.")
    size = archive.getinfo(f"artifacts/{ref.id}").file_size
    if size > limits().max_file_mib * MEBIBYTE:
        raise BadInput(f"{path}: an artifact of {size} bytes is over {setting('max_file_mib')}.")
    artifact = Artifact(
        data=archive.read(f"artifacts/{ref.id}"), modality=str(ref.modality), media_type=str(ref.media_type)
    )
    if artifact.id != ref.id:
        raise BadInput(f"{path}: artifact {ref.id[:12]} does not hold the bytes it is named after.")
    return artifact


class _Bundle:
    def __init__(self, run: RunRecord, hops: list[Hop], probes: list[Probe], model_calls: list[ModelCall]) -> None:
        self.run = run
        self.hops = hops
        self.probes = probes
        self.model_calls = model_calls

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> _Bundle:
        run = records.run_from_json(data["run"])
        if not _RUN_ID.fullmatch(run.id) or not _RUN_ID.fullmatch(run.conversation):
            raise ValueError(f"{run.id!r} is not the id of a run")
        bundle = cls(
            run=run,
            hops=[records.hop_from_json(row) for row in data["hops"]],
            probes=[records.probe_from_json(row) for row in data["probes"]],
            model_calls=[records.model_call_from_json(row) for row in data["model_calls"]],
        )
        owners = [h.run for h in bundle.hops] + [p.run for p in bundle.probes] + [c.run for c in bundle.model_calls]
        if any(owner != run.id for owner in owners):
            raise ValueError("a record belongs to another run")
        return bundle

    def to_json(self) -> dict[str, Any]:
        # A hop this run took from another run's cache cannot point there from another journal.
        own = {hop.id for hop in self.hops}
        hops = [h if h.cached_from in own else replace(h, cached_from=None) for h in self.hops]
        return {
            "format": FORMAT,
            "run": records.to_json(self.run),
            "hops": [records.to_json(hop) for hop in hops],
            "probes": [records.to_json(probe) for probe in self.probes],
            "model_calls": [records.to_json(call) for call in self.model_calls],
        }

    def artifacts(self) -> Iterator[ArtifactRef]:
        """Each artifact of the bundle once."""
        found = [r for a in self.run.attachments for r in (a.artifact, a.reference)]
        found += [ref for hop in self.hops for refs in (*hop.inputs.values(), *hop.outputs.values()) for ref in refs]
        found += [ref for probe in self.probes for ref in (probe.node, probe.reading)]
        found += [ref for call in self.model_calls for ref in (call.messages, call.reply)]
        found += self.run.outputs
        yield from {(ref.id, ref.media_type): ref for ref in found if ref is not None}.values()
