"""The journal and the store: what is written is what is read, and nothing is lost in between."""

from __future__ import annotations

import errno
import json
import os
import sqlite3
import threading
import zipfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hopline.agent.hops import records
from hopline.agent.hops.bundle import export_run, import_run
from hopline.agent.hops.journal import Journal, now, ref_of
from hopline.agent.hops.records import Failure, Hop, ModelCall, Probe, RunRecord
from hopline.tools.artifact import Artifact
from hopline.tools.backend import MechanicalLoss
from hopline.tools.errors import BadInput, NotFound, ResourceExceeded, StoreCorrupt, UserError
from hopline.tools.store import Store
from hypothesis import given, settings
from hypothesis import strategies as st

GOLDEN = Path(__file__).parent / "golden"

texts = st.text(st.characters(codec="utf-8"), max_size=40)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


def filled(journal: Journal, words: str = "hello") -> tuple[RunRecord, Hop]:
    """A run with one attachment, two hops, a probe and a model call."""
    memo = Artifact(data=b"RIFF" + words.encode(), modality="audio", media_type="audio/wav")
    run = journal.begin_run("say it", attachments=[("audio1", "memo.wav", memo, Artifact.from_text(words))])
    said = Artifact.from_text(words)
    journal.store.put(said)
    hop = journal.begin_hop(
        Hop(
            id=0,
            run=run.id,
            step="step1",
            tool="speech_to_text",
            backend="speech_to_text:fake",
            inputs={"audio": (run.attachments[0].artifact,)},
            parameters={"language": "en"},
            identity={"backend": "speech_to_text:fake", "code_version": "1"},
            started_at=now(),
        ),
        cache_key=f"key {words}",
    )
    hop = replace(
        hop,
        status="ok",
        outputs={"text": (ref_of(said),)},
        duration_ms=1.5,
        load_ms=0.0,
        details={"flags": ["no_speech"], "words": [{"word": "hello", "start": 0.1}]},
        mechanical_losses=(
            MechanicalLoss(kind="resampled", message="to 16 kHz", before=44100, after=16000, unit="Hz"),
        ),
    )
    journal.end_hop(hop)
    failed = journal.begin_hop(
        Hop(id=0, run=run.id, step="step2", tool="t", backend="t:b", parent=hop.id, started_at=now())
    )
    journal.end_hop(replace(failed, status="failed", error=Failure(reason="timeout", message="too slow")))
    journal.add_probe(
        Probe(id=0, run=run.id, node=ref_of(memo), hop=hop.id, reader="r:b", reading=ref_of(said), started_at=now())
    )
    asked = journal.keep(Artifact.from_text("[]"), run.id)
    journal.add_model_call(
        ModelCall(id=0, run=run.id, hop=None, purpose="plan", messages=asked, input_tokens=3, finish_reason="stop")
    )
    run = replace(run, status="partial", outputs=(ref_of(said),), answer=words, plan={"steps": []}, ended_at=now())
    journal.update_run(run)
    return run, hop


def test_records_come_back_as_they_were_written(journal: Journal, home: Path) -> None:
    run, hop = filled(journal)
    with Journal(home) as again:
        assert again.run(run.id) == run
        assert again.hops(run.id)[0] == hop
        assert again.hops(run.id)[1].parent == hop.id
        assert again.probes(run.id)[0].reading == run.outputs[0]
        assert again.model_calls(run.id)[0].purpose == "plan"
        assert again.verify() == []


def test_an_artifact_is_found_by_its_id(journal: Journal) -> None:
    run, hop = filled(journal)
    for ref in (run.attachments[0].artifact, *hop.output_list, journal.model_calls(run.id)[0].messages):
        assert ref is not None
        assert journal.find_artifact(ref.id) == journal.find_artifact(ref.id[:8]) == ref
    for unknown in ("", run.outputs[0].id[:7], "0" * 64, "*" * 8, "../../../etc/passwd"):
        with pytest.raises(NotFound, match="no artifact"):
            journal.find_artifact(unknown)


@settings(max_examples=60, deadline=None)
@given(
    details=st.dictionaries(texts, json_values, max_size=3),
    parameters=st.dictionaries(texts, json_values, max_size=3),
    message=texts,
    seed=st.integers(0, 2**31 - 1),
)
def test_any_hop_survives_its_json(details: Any, parameters: Any, message: str, seed: int) -> None:
    hop = Hop(
        id=7,
        run="r",
        step="step1",
        tool="t",
        backend="t:b",
        details=details,
        parameters=parameters,
        seed=seed,
        error=Failure(reason="failed", message=message),
        mechanical_losses=(MechanicalLoss(kind="truncated", message=message, before=2, after=1, unit="words"),),
    )
    assert records.hop_from_json(json.loads(json.dumps(records.to_json(hop)))) == hop


def test_names_of_runs(journal: Journal) -> None:
    first, _ = filled(journal, "one")
    second, _ = filled(journal, "two")
    assert journal.resolve("last") == second.id
    assert journal.resolve(first.id[:6]) == first.id
    for unknown in ("nope", "", "../x", "*"):
        with pytest.raises(NotFound):
            journal.resolve(unknown)


def test_conversations_number_their_runs(journal: Journal) -> None:
    first = journal.begin_run("a")
    second = journal.begin_run("b", conversation=first.conversation)
    assert (first.position, second.position) == (1, 2)
    assert [r.id for r in journal.runs(conversation=first.conversation)] == [second.id, first.id]


def test_an_artifact_lives_while_a_run_refers_to_it(journal: Journal) -> None:
    first, _ = filled(journal, "same")
    second, _ = filled(journal, "same")
    third, _ = filled(journal, "other")
    assert journal.remove([first.id]) == 0
    assert journal.verify() == []
    assert journal.remove([second.id]) > 0
    assert journal.verify() == []
    assert journal.hops(first.id) == []
    with pytest.raises(NotFound):
        journal.run(second.id)
    assert journal.run(third.id) == third


def test_a_live_run_is_neither_removed_nor_taken_over_by_another(journal: Journal) -> None:
    run = journal.begin_run("live")
    assert journal.live(run.id)
    with pytest.raises(UserError, match="still running"):
        journal.remove([run.id])
    journal._db.execute("UPDATE runs SET owner = '999999999 1.00 ' || ? WHERE id = ?", (os.uname().nodename, run.id))
    assert not journal.live(run.id)
    assert journal.take_over(run.id).status == "running"
    assert journal.live(run.id)


def test_a_hop_in_flight_is_marked_when_its_run_is_taken_over(journal: Journal) -> None:
    run = journal.begin_run("cut")
    journal.begin_hop(Hop(id=0, run=run.id, step="step1", tool="t", backend="t:b"))
    journal.take_over(run.id)
    (hop,) = journal.hops(run.id)
    assert hop.status == "failed"
    assert hop.error is not None
    assert hop.error.reason == "interrupted"


def test_prune_by_age(journal: Journal) -> None:
    run, _ = filled(journal)
    assert journal.older_than(datetime.now(UTC) - timedelta(hours=1)) == []
    assert journal.older_than(datetime.now(UTC) + timedelta(hours=1)) == [run.id]


def test_verify_names_what_is_wrong(journal: Journal) -> None:
    run, hop = filled(journal)
    path = journal.store.path(hop.outputs["text"][0].id, "text/plain")
    path.write_bytes(b"changed")
    assert len(journal.verify(run.id)) == 1
    with pytest.raises(StoreCorrupt):
        journal.read(hop.outputs["text"][0])
    path.unlink()
    assert "not in the store" in journal.verify()[0]
    assert journal.cached("key hello") is None


def test_threads_share_a_journal(journal: Journal) -> None:
    run = journal.begin_run("many")

    def work(number: int) -> None:
        for turn in range(20):
            hop = journal.begin_hop(Hop(id=0, run=run.id, step=f"s{number}", item=turn, tool="t", backend="t:b"))
            journal.end_hop(replace(hop, status="ok"))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    hops = journal.hops(run.id)
    assert len(hops) == 100
    assert {hop.status for hop in hops} == {"ok"}
    assert len({hop.id for hop in hops}) == 100


def test_a_journal_from_the_future_is_refused_untouched(home: Path) -> None:
    Journal(home).close()
    with sqlite3.connect(home / "journal.sqlite") as db:
        db.execute("UPDATE meta SET value = '99' WHERE key = 'format'")
    db.close()
    with pytest.raises(BadInput, match="99"):
        Journal(home)


def test_something_else_is_not_a_journal(home: Path) -> None:
    home.mkdir()
    (home / "journal.sqlite").write_bytes(b"this is not a database, but long enough to look at " * 20)
    with pytest.raises(BadInput, match="not a hopline journal"):
        Journal(home)


# -- bundles -----------------------------------------------------------------------------------


def test_export_and_import_give_the_same_run(journal: Journal, tmp_path: Path) -> None:
    run, hop = filled(journal)
    export_run(journal, run.id, tmp_path / "run.zip")
    with Journal(tmp_path / "elsewhere") as other:
        assert import_run(other, tmp_path / "run.zip") == run
        assert replace(other.hops(run.id)[0], id=hop.id) == hop
        assert len(other.probes(run.id)) == len(other.model_calls(run.id)) == 1
        assert other.verify() == []
        with pytest.raises(BadInput, match="already"):
            import_run(other, tmp_path / "run.zip")


def rewritten(source: Path, target: Path, change: Any) -> Path:
    """A bundle with its records changed and, if asked, other members."""
    with zipfile.ZipFile(source) as archive:
        data = json.loads(archive.read("run.json"))
        members = {name: archive.read(name) for name in archive.namelist() if name != "run.json"}
    change(data, members)
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("run.json", json.dumps(data))
        for name, content in members.items():
            archive.writestr(name, content)
    return target


def swap_bytes(data: Any, members: Any) -> None:
    members[next(iter(members))] = b"other bytes"


def climb(data: Any, members: Any) -> None:
    data["hops"][0]["outputs"]["text"][0]["id"] = "../../etc/passwd"


def construct(data: Any, members: Any) -> None:
    data["hops"][0] = {"lc": 1, "type": "constructor", "id": ["os", "system"], "kwargs": {"command": "true"}}


def future(data: Any, members: Any) -> None:
    data["format"] = "hopline.bundle/2"


def stray(data: Any, members: Any) -> None:
    data["hops"][0]["run"] = "another"


def bad_run_id(data: Any, members: Any) -> None:
    data["run"]["id"] = "../x"


@pytest.mark.parametrize("change", [swap_bytes, climb, construct, future, stray, bad_run_id])
def test_a_bundle_that_was_tampered_with_is_refused(journal: Journal, tmp_path: Path, change: Any) -> None:
    run, _ = filled(journal)
    export_run(journal, run.id, tmp_path / "run.zip")
    bad = rewritten(tmp_path / "run.zip", tmp_path / "bad.zip", change)
    with Journal(tmp_path / "elsewhere") as other:
        with pytest.raises(BadInput):
            import_run(other, bad)
        assert other.runs() == []
        assert other.verify() == []


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not really", b"text"])
def test_what_is_not_a_bundle_is_refused(journal: Journal, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.zip").write_bytes(content)
    with pytest.raises(BadInput, match="bundle"):
        import_run(journal, tmp_path / "x.zip")


def test_bundles_of_every_format_version_stay_readable(journal: Journal) -> None:
    for path in sorted(GOLDEN.glob("bundle-*.zip")):
        run = import_run(journal, path)
        assert run.request == "say it"
        assert [hop.status for hop in journal.hops(run.id)] == ["ok", "failed"]
    assert len(journal.runs()) == 1


# -- the store ---------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(data=st.binary(max_size=300))
def test_what_is_put_is_what_is_got(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    store = Store(tmp_path_factory.mktemp("store"))
    artifact = Artifact(data=data, modality="image", media_type="image/png")
    path = store.put(artifact)
    assert store.put(artifact) == path
    assert store.get(artifact.id, "image", "image/png") == artifact
    assert store.size_bytes == len(data)


def test_the_quota_is_kept_and_named(tmp_path: Path) -> None:
    store = Store(tmp_path, quota_mib=0.001)
    store.put(Artifact.from_text("x" * 1000))
    with pytest.raises(ResourceExceeded, match="HOPLINE_DISK_QUOTA_MIB"):
        store.put(Artifact.from_text("y" * 1000))
    assert store.size_bytes == 1000


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_failing_disk_leaves_nothing_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    store = Store(tmp_path)
    real = os.write
    writes = []

    def failing(descriptor: int, data: Any) -> int:
        writes.append(len(data))
        if len(writes) > 1:
            raise OSError(code, os.strerror(code))
        return real(descriptor, bytes(data[:10]))

    monkeypatch.setattr(os, "write", failing)
    artifact = Artifact.from_text("z" * 100)
    with pytest.raises(ResourceExceeded):
        store.put(artifact)
    monkeypatch.undo()
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []
    assert not store.has(artifact.id, artifact.media_type)
    store.put(artifact)
    assert store.check(artifact.id, artifact.media_type) == ""


def test_left_overs_are_swept(tmp_path: Path) -> None:
    store = Store(tmp_path)
    path = store.put(Artifact.from_text("kept"))
    path.with_name(".cut-short").write_bytes(b"half")
    assert store.size_bytes == 4
    assert store.sweep() == 1
    assert path.exists()
