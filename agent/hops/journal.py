"""The journal: one SQLite file that every run, hop, probe and model call is written to.

WAL and synchronous NORMAL: a killed process loses at most the hop in flight, a power loss the
last hops. Only the coordinating process writes. The store beside it holds the bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import socket
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Self

import psutil
from hopline.agent.hops import records
from hopline.agent.hops.records import ArtifactRef, AttachmentRecord, Failure, Hop, ModelCall, Probe, RunRecord
from hopline.tools.artifact import Artifact
from hopline.tools.errors import BadInput, NotFound, UserError
from hopline.tools.exchange import Exchange
from hopline.tools.home import home
from hopline.tools.store import Store

FORMAT = 1
LAST = "last"

_JSON_COLUMNS = frozenset(
    (
        "attachments plan error outputs options inputs parameters details mechanical_losses node reading messages reply"
    ).split()
)


class Journal:
    """Runs and everything about them, in `folder`/journal.sqlite beside the artifact store.

    Safe to use from several threads; several processes may share one folder.

    Args:
        folder: made on first use; `HOPLINE_HOME` by default.

    Raises:
        BadInput: the file is not a journal, or of a format this hopline does not know.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder if folder is not None else home()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.store = Store(self.folder / "artifacts")
        self.path = self.folder / "journal.sqlite"
        self._lock = threading.RLock()
        self._identities: set[str] = set()
        try:
            self._db = sqlite3.connect(self.path, timeout=30, isolation_level=None, check_same_thread=False)
            self._open()
        except sqlite3.DatabaseError as error:
            raise BadInput(f"{self.path} is not a hopline journal ({error}).") from error

    def _open(self) -> None:
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.execute("PRAGMA foreign_keys = ON")
        with self._transaction():
            if not self._db.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone():
                for statement in resources.files("hopline.agent.hops").joinpath("schema.sql").read_text().split(";\n"):
                    self._db.execute(statement)
                self._db.execute("INSERT INTO meta VALUES ('format', ?)", (str(FORMAT),))
            found = self._db.execute("SELECT value FROM meta WHERE key = 'format'").fetchone()
        if not found or found[0] != str(FORMAT):
            self._db.close()
            known = found[0] if found else "none"
            raise BadInput(
                f"{self.path} has journal format {known}; this hopline reads format {FORMAT}.",
                hint="Use a newer hopline, or another HOPLINE_HOME.",
            )

    def close(self) -> None:
        """Close the file; the journal cannot be used after."""
        with self._lock:
            self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    # -- artifacts ---------------------------------------------------------------------------

    def keep(self, artifact: Artifact, run: str) -> ArtifactRef:
        """Store an artifact for a run.

        Raises:
            ResourceExceeded: the disk or the quota is full.
        """
        self.store.put(artifact)
        ref = ref_of(artifact)
        with self._transaction():
            self._use([ref], run)
        return ref

    def _use(self, refs: Sequence[ArtifactRef], run: str) -> None:
        self._db.executemany("INSERT OR IGNORE INTO uses VALUES (?, ?, ?)", [(r.id, r.media_type, run) for r in refs])

    def read(self, ref: ArtifactRef) -> Artifact:
        """The bytes of a reference.

        Raises:
            NotFound: the file is gone.
            StoreCorrupt: it does not match its digest.
        """
        return self.store.get(ref.id, ref.modality, ref.media_type)

    def find_artifact(self, name: str) -> ArtifactRef:
        """The reference of an artifact that some run uses.

        Args:
            name: its id, or a beginning of it that is not ambiguous, 8 digits or more.

        Raises:
            NotFound: none, or more than one.
        """
        rows = []
        if re.fullmatch("[0-9a-f]{8,64}", name):
            with self._lock:
                rows = self._db.execute(
                    "SELECT artifact, run FROM uses WHERE artifact GLOB ?", (f"{name}*",)
                ).fetchall()
        if len({row["artifact"] for row in rows}) > 1:
            raise NotFound(f"{name!r} is the beginning of several artifacts.")
        for row in rows:
            for ref in self._refs(row["run"]):
                if ref.id == row["artifact"]:
                    return ref
        raise NotFound(f"no artifact is called {name!r}.")

    def _refs(self, run_id: str) -> Iterator[ArtifactRef]:
        """Everything that a run and its records refer to."""
        run = self.run(run_id)
        for given in run.attachments:
            yield given.artifact
            if given.reference is not None:
                yield given.reference
        yield from run.outputs
        for hop in self.hops(run_id):
            yield from (ref for refs in hop.inputs.values() for ref in refs)
            yield from hop.output_list
        for probe in self.probes(run_id):
            yield from (ref for ref in (probe.node, probe.reading) if ref is not None)
        for call in self.model_calls(run_id):
            yield from (ref for ref in (call.messages, call.reply) if ref is not None)

    # -- runs --------------------------------------------------------------------------------

    def begin_run(
        self,
        request: str,
        *,
        conversation: str = "",
        profile: str = "offline",
        seed: int = 0,
        options: Mapping[str, Any] | None = None,
        attachments: Sequence[tuple[str, str, Artifact, Artifact | None]] = (),
    ) -> RunRecord:
        """Write a new run, status `running`, owned by this process.

        Args:
            request: what the person typed.
            conversation: id of an earlier one to go on with; empty begins a new one.
            profile: its name.
            seed: of the run.
            options: what matters to repeat it.
            attachments: (handle, file name, artifact, reference text or None), in order.
        """
        created = now()
        run_id = secrets.token_hex(4)
        for _, _, artifact, reference in attachments:
            for one in (artifact, reference):
                if one is not None:
                    self.store.put(one)
        kept = tuple(
            AttachmentRecord(
                handle=handle, name=name, artifact=ref_of(artifact), reference=ref_of(reference) if reference else None
            )
            for handle, name, artifact, reference in attachments
        )
        with self._transaction():
            conversation = conversation or secrets.token_hex(4)
            self._db.execute("INSERT OR IGNORE INTO conversations VALUES (?, ?)", (conversation, created))
            (last,) = self._db.execute(
                "SELECT coalesce(max(position), 0) FROM runs WHERE conversation = ?", (conversation,)
            ).fetchone()
            run = RunRecord(
                id=run_id,
                conversation=conversation,
                position=last + 1,
                request=request,
                attachments=kept,
                profile=profile,
                seed=seed,
                created_at=created,
                options=dict(options or {}),
            )
            self._insert("runs", run, owner=_this_process())
            self._use([r for a in kept for r in (a.artifact, a.reference) if r is not None], run_id)
        return run

    def update_run(self, run: RunRecord) -> None:
        """Write a run's plan, status, error, answer, outputs and end."""
        with self._transaction():
            self._db.execute(
                "UPDATE runs SET plan = ?, status = ?, error = ?, answer = ?, outputs = ?, ended_at = ? WHERE id = ?",
                (
                    _json(run.plan),
                    run.status,
                    _json(run.error),
                    run.answer,
                    _json(run.outputs),
                    run.ended_at,
                    run.id,
                ),
            )
            self._use(run.outputs, run.id)

    def take_over(self, run_id: str) -> RunRecord:
        """Make this process the owner of an unfinished run whose owner is gone.

        Hops that were in flight become `failed`, reason `interrupted`.

        Raises:
            UserError: the run is live in another process.
        """
        with self._transaction():
            (owner,) = self._db.execute("SELECT owner FROM runs WHERE id = ?", (run_id,)).fetchone()
            if owner != _this_process() and _alive(owner):
                raise UserError(f"run {run_id} is still running in process {owner.split()[0]}.")
            self._db.execute(
                "UPDATE runs SET owner = ?, status = 'running', error = NULL, ended_at = '' WHERE id = ?",
                (_this_process(), run_id),
            )
            self._interrupt(run_id)
        return self.run(run_id)

    def interrupt(self, run_id: str) -> None:
        """Mark hops of a run that are still in flight as `failed`, reason `interrupted`."""
        with self._transaction():
            self._interrupt(run_id)

    def _interrupt(self, run_id: str) -> None:
        error = _json(Failure(reason="interrupted", message="it was in flight when its run ended."))
        self._db.execute(
            "UPDATE hops SET status = 'failed', error = ? WHERE run = ? AND status = 'running'", (error, run_id)
        )

    def live(self, run_id: str) -> bool:
        """The run's process is still there and the run has not ended."""
        with self._lock:
            row = self._db.execute("SELECT owner, status FROM runs WHERE id = ?", (run_id,)).fetchone()
        return bool(row) and row["status"] == "running" and _alive(row["owner"])

    def resolve(self, name: str) -> str:
        """The full id of a run from `last`, its id or a beginning of it.

        Raises:
            NotFound: none, or more than one.
        """
        with self._lock:
            if name == LAST:
                rows = self._db.execute("SELECT id FROM runs ORDER BY created_at DESC, id LIMIT 1").fetchall()
            elif re.fullmatch("[0-9a-f]+", name):
                rows = self._db.execute("SELECT id FROM runs WHERE id GLOB ? LIMIT 3", (f"{name}*",)).fetchall()
            else:
                rows = []
        if not rows:
            raise NotFound(f"no run is called {name!r}.", hint="See: hopline runs")
        if len(rows) > 1:
            raise NotFound(f"{name!r} is the beginning of several runs.", hint="See: hopline runs")
        return str(rows[0]["id"])

    def run(self, run_id: str) -> RunRecord:
        """The record of a run.

        Raises:
            NotFound: there is none.
        """
        with self._lock:
            row = self._db.execute("SELECT * FROM runs WHERE id = ?", (run_id,)).fetchone()
        if row is None:
            raise NotFound(f"no run is called {run_id!r}.", hint="See: hopline runs")
        return records.run_from_json(_unpacked(row, RunRecord))

    def runs(self, *, limit: int = 50, conversation: str = "") -> list[RunRecord]:
        """Runs, newest first."""
        where = "WHERE conversation = :conversation" if conversation else ""
        with self._lock:
            rows = self._db.execute(
                f"SELECT * FROM runs {where} ORDER BY created_at DESC, position DESC LIMIT :limit",
                {"conversation": conversation, "limit": limit},
            ).fetchall()
        return [records.run_from_json(_unpacked(row, RunRecord)) for row in rows]

    def times_ms(self) -> dict[str, list[float]]:
        """Wall clock of every call that did its work in milliseconds, without loading, by backend, ascending.

        Cached hops do not count.
        """
        with self._lock:
            rows = self._db.execute(
                "SELECT backend, duration_ms FROM hops WHERE status = 'ok' AND cached_from IS NULL "
                "AND duration_ms IS NOT NULL ORDER BY backend, duration_ms"
            ).fetchall()
        found: dict[str, list[float]] = {}
        for backend, duration_ms in rows:
            found.setdefault(backend, []).append(duration_ms)
        return found

    def median_ms(self) -> dict[str, float]:
        """Median of `times_ms` by backend."""
        return {backend: times[len(times) // 2] for backend, times in self.times_ms().items()}

    def calling(self, backends: Iterable[str], *, limit: int) -> list[str]:
        """Ids of the latest ended runs in which one of these backends did its work, newest first."""
        wanted = list(backends)
        marks = ", ".join("?" * len(wanted))
        with self._lock:
            rows = self._db.execute(
                f"SELECT h.run FROM hops h JOIN runs r ON r.id = h.run WHERE h.backend IN ({marks})"
                " AND h.status = 'ok' AND h.cached_from IS NULL AND r.status != 'running'"
                " GROUP BY h.run ORDER BY max(h.id) DESC LIMIT ?",
                (*wanted, limit),
            ).fetchall()
        return [str(row["run"]) for row in rows]

    def labelled(self, label: str, value: str) -> list[RunRecord]:
        """Runs with a label of this value (`options["labels"]`), oldest first."""
        with self._lock:
            rows = self._db.execute(
                "SELECT * FROM runs WHERE json_extract(options, '$.labels.' || ?) = ? ORDER BY created_at, id",
                (label, value),
            ).fetchall()
        return [records.run_from_json(_unpacked(row, RunRecord)) for row in rows]

    # -- hops --------------------------------------------------------------------------------

    def begin_hop(self, hop: Hop, *, cache_key: str = "") -> Hop:
        """Write a hop before it starts; gives it its id."""
        with self._transaction():
            cursor = self._insert("hops", hop, cache_key=cache_key, id=None)
            self._use([ref for refs in hop.inputs.values() for ref in refs], hop.run)
        return replace(hop, id=int(cursor.lastrowid or 0))

    def end_hop(self, hop: Hop) -> None:
        """Write how a hop ended; its outputs are in the store by now."""
        with self._transaction():
            self._db.execute(
                "UPDATE hops SET outputs = ?, status = ?, duration_ms = ?, load_ms = ?, details = ?,"
                " mechanical_losses = ?, error = ? WHERE id = ?",
                (
                    _json(hop.outputs),
                    hop.status,
                    hop.duration_ms,
                    hop.load_ms,
                    _json(hop.details),
                    _json(hop.mechanical_losses),
                    _json(hop.error),
                    hop.id,
                ),
            )
            self._use(hop.output_list, hop.run)

    def hops(self, run_id: str) -> list[Hop]:
        """The hops of a run, in the order in which they began."""
        return [records.hop_from_json(row) for row in self._of_run("hops", run_id, Hop)]

    def hop(self, hop_id: int) -> Hop:
        """One hop.

        Raises:
            NotFound: there is none of that number.
        """
        with self._lock:
            row = self._db.execute(
                "SELECT h.*, i.identity AS named FROM hops h JOIN identities i ON i.digest = h.identity WHERE h.id = ?",
                (hop_id,),
            ).fetchone()
        if row is None:
            raise NotFound(f"there is no hop {hop_id}.")
        return records.hop_from_json(_unpacked(row, Hop))

    def cached(self, cache_key: str) -> Hop | None:
        """The newest hop that really did this very work and whose outputs are all here."""
        with self._lock:
            rows = self._db.execute(
                "SELECT h.*, i.identity AS named FROM hops h JOIN identities i ON i.digest = h.identity"
                " WHERE cache_key = ? AND status = 'ok' AND cached_from IS NULL AND cache_key != ''"
                " ORDER BY h.id DESC LIMIT 3",
                (cache_key,),
            ).fetchall()
        for row in rows:
            hop = records.hop_from_json(_unpacked(row, Hop))
            if all(self.store.has(ref.id, ref.media_type) for ref in hop.output_list):
                return hop
        return None

    # -- probes and model calls --------------------------------------------------------------

    def add_probe(self, probe: Probe) -> Probe:
        """Write a probe; gives it its id."""
        with self._transaction():
            cursor = self._insert("probes", probe, id=None)
            self._use([ref for ref in (probe.node, probe.reading) if ref is not None], probe.run)
        return replace(probe, id=int(cursor.lastrowid or 0))

    def probes(self, run_id: str) -> list[Probe]:
        """The probes of a run."""
        return [records.probe_from_json(row) for row in self._of_run("probes", run_id, Probe)]

    def add_model_call(self, call: ModelCall) -> ModelCall:
        """Write a model call; gives it its id."""
        with self._transaction():
            cursor = self._insert("model_calls", call, id=None)
            self._use([ref for ref in (call.messages, call.reply) if ref is not None], call.run)
        return replace(call, id=int(cursor.lastrowid or 0))

    def add_exchange(self, run_id: str, exchange: Exchange, hop: int | None = None) -> ModelCall:
        """Write an exchange with a language model as a model call of a run, or of one of its hops."""
        messages = Artifact.from_text(json.dumps(exchange.messages, ensure_ascii=False, indent=1))
        reply = None if exchange.reply is None else Artifact.from_text(exchange.reply)
        return self.add_model_call(
            ModelCall(
                id=0,
                run=run_id,
                hop=hop,
                purpose=exchange.purpose,
                identity=exchange.identity,
                messages=self.keep(messages, run_id),
                reply=None if reply is None else self.keep(reply, run_id),
                input_tokens=exchange.input_tokens,
                output_tokens=exchange.output_tokens,
                started_at=exchange.started_at,
                duration_ms=exchange.duration_ms,
                finish_reason=exchange.finish_reason,
                repair=exchange.repair,
                error=Failure(reason="model_failed", message=exchange.error) if exchange.error else None,
            )
        )

    def model_calls(self, run_id: str) -> list[ModelCall]:
        """The exchanges with chat models of a run."""
        return [records.model_call_from_json(row) for row in self._of_run("model_calls", run_id, ModelCall)]

    def adopt(
        self, run: RunRecord, hops: Sequence[Hop], probes: Sequence[Probe], model_calls: Sequence[ModelCall]
    ) -> RunRecord:
        """Write a whole run from elsewhere; its artifacts are in the store already.

        Returns:
            The record as it is here: hops have new numbers, its place in the conversation may differ.

        Raises:
            BadInput: a run of that id is here.
        """
        with self._transaction():
            if self._db.execute("SELECT 1 FROM runs WHERE id = ?", (run.id,)).fetchone():
                raise BadInput(f"run {run.id} is in this journal already.")
            self._db.execute("INSERT OR IGNORE INTO conversations VALUES (?, ?)", (run.conversation, run.created_at))
            taken = self._db.execute(
                "SELECT position FROM runs WHERE conversation = ? ORDER BY position DESC", (run.conversation,)
            ).fetchall()
            if run.position in [row["position"] for row in taken]:
                run = replace(run, position=taken[0]["position"] + 1)
            self._insert("runs", run, owner="")
            refs = [r for a in run.attachments for r in (a.artifact, a.reference) if r is not None]
            self._use([*refs, *run.outputs], run.id)
            new: dict[int | None, int | None] = {None: None}
            for hop in hops:
                here = replace(hop, parent=new.get(hop.parent), cached_from=new.get(hop.cached_from))
                cursor = self._insert("hops", here, cache_key="", id=None)
                new[hop.id] = cursor.lastrowid
                self._use([*(ref for refs in hop.inputs.values() for ref in refs), *hop.output_list], run.id)
            for probe in probes:
                self._insert("probes", probe, id=None, hop=new.get(probe.hop))
                self._use([ref for ref in (probe.node, probe.reading) if ref is not None], run.id)
            for call in model_calls:
                self._insert("model_calls", call, id=None, hop=new.get(call.hop))
                self._use([ref for ref in (call.messages, call.reply) if ref is not None], run.id)
        return run

    # -- keeping order -----------------------------------------------------------------------

    def verify(self, run_id: str | None = None) -> list[str]:
        """Hash every artifact of a run, or of all, again.

        Returns:
            What is wrong, a line each; none when all is well.
        """
        where = "WHERE run = :run" if run_id else ""
        with self._lock:
            rows = self._db.execute(
                f"SELECT DISTINCT artifact, media_type FROM uses {where}", {"run": run_id}
            ).fetchall()
            broken = [str(row[0]) for row in self._db.execute("PRAGMA quick_check") if row[0] != "ok"]
        return broken + [p for row in rows if (p := self.store.check(row["artifact"], row["media_type"]))]

    def remove(self, run_ids: Sequence[str]) -> int:
        """Remove runs, and the artifacts that no other run refers to.

        Returns:
            Bytes that became free.

        Raises:
            UserError: a run is live.
        """
        for run_id in run_ids:
            if self.live(run_id):
                raise UserError(f"run {run_id} is still running.")
        with self._transaction():
            for run_id in run_ids:
                self._db.execute("DELETE FROM runs WHERE id = ?", (run_id,))
            self._db.execute("DELETE FROM conversations WHERE id NOT IN (SELECT conversation FROM runs)")
        return self.collect()

    def collect(self) -> int:
        """Remove artifacts that no run refers to.

        While some run is live, files of the last hour stay: its hop in flight may have stored
        them and not yet written that it uses them.

        Returns:
            Bytes that became free.
        """
        with self._lock:
            used = {(row[0], row[1]) for row in self._db.execute("SELECT DISTINCT artifact, media_type FROM uses")}
            running = [row[0] for row in self._db.execute("SELECT id FROM runs WHERE status = 'running'")]
        newest = time.time() - (3600 if any(self.live(run_id) for run_id in running) else 0)
        return self.store.keep_only(used, older_than_s=newest)

    def older_than(self, moment: datetime) -> list[str]:
        """Ids of ended runs that began before a moment."""
        with self._lock:
            rows = self._db.execute(
                "SELECT id FROM runs WHERE created_at < ? AND status != 'running'",
                (moment.astimezone(UTC).isoformat(),),
            ).fetchall()
        return [str(row["id"]) for row in rows]

    # -- rows --------------------------------------------------------------------------------

    def _insert(self, table: str, record: records.Record, **extra: Any) -> sqlite3.Cursor:
        row = _packed(record)
        if isinstance(record, Hop | Probe | ModelCall):
            row["identity"] = self._identity(record.identity)
        row.update(extra)
        columns, marks = _columns(tuple(row))
        return self._db.execute(f"INSERT INTO {table} ({columns}) VALUES ({marks})", list(row.values()))

    def _identity(self, identity: Mapping[str, str]) -> str:
        text = _json(dict(sorted(identity.items()))) or "{}"
        digest = hashlib.sha256(text.encode()).hexdigest()[:32]
        if digest not in self._identities:
            self._db.execute("INSERT OR IGNORE INTO identities VALUES (?, ?)", (digest, text))
            self._identities.add(digest)
        return digest

    def _of_run(self, table: str, run_id: str, kind: type[records.Record]) -> list[dict[str, Any]]:
        with self._lock:
            rows = self._db.execute(
                f"SELECT t.*, i.identity AS named FROM {table} t JOIN identities i ON i.digest = t.identity"
                " WHERE run = ? ORDER BY t.id",
                (run_id,),
            ).fetchall()
        return [_unpacked(row, kind) for row in rows]


def ref_of(artifact: Artifact) -> ArtifactRef:
    """The reference of an artifact."""
    return ArtifactRef(
        id=artifact.id, modality=artifact.modality, media_type=artifact.media_type, size_bytes=len(artifact.data)
    )


def now() -> str:
    """This moment, ISO 8601 in UTC with microseconds."""
    return datetime.now(UTC).isoformat()


def _json(value: object) -> str | None:
    """Plain data as JSON, records in it by their fields; None stays None."""
    if value is None:
        return None
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_fields)


def _fields(record: Any) -> dict[str, Any]:
    # Not asdict, which copies everything again at every level.
    return {field.name: getattr(record, field.name) for field in fields(record)}


def _packed(record: records.Record) -> dict[str, Any]:
    row = _fields(record)
    return {name: _json(value) if name in _JSON_COLUMNS else value for name, value in row.items()}


def _unpacked(row: sqlite3.Row, kind: type[records.Record]) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for field in fields(kind):
        value = row[field.name]
        if field.name == "identity":
            value = json.loads(row["named"])
        elif field.name in _JSON_COLUMNS and value is not None:
            value = json.loads(value)
        elif field.name == "remote":
            value = bool(value)
        data[field.name] = value
    return data


@cache
def _columns(names: tuple[str, ...]) -> tuple[str, str]:
    return ", ".join(names), ", ".join("?" * len(names))


@cache
def _this_process_cached(pid: int) -> str:
    return f"{pid} {psutil.Process(pid).create_time():.2f} {socket.gethostname()}"


def _this_process() -> str:
    return _this_process_cached(os.getpid())


def _alive(owner: str) -> bool:
    """Whether the process that wrote `PID START HOST` is still there; one elsewhere counts as alive."""
    try:
        pid, started, host = owner.split(" ", 2)
        if host != socket.gethostname():
            return True
        return abs(psutil.Process(int(pid)).create_time() - float(started)) < 1
    except (ValueError, psutil.NoSuchProcess):
        return False
