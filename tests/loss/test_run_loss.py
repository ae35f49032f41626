"""The loss of stored runs, built by hand: references, readers, round trips, branches, and the JSON."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hopline.agent.faces.cli.loss_table import show_loss
from hopline.agent.hops.records import ArtifactRef, AttachmentRecord, Failure, Hop, Probe, RunRecord
from hopline.agent.loss.grammar import SPEECH
from hopline.agent.loss.run import HopLoss, RunLoss, measure, probes_wanted
from hopline.tools.artifact import Artifact
from hopline.tools.backend import Backend, MechanicalLoss
from hopline.tools.errors import NotFound
from hopline.tools.image_captioning.offline import Offline
from hopline.tools.speech_to_text.faster_whisper import FasterWhisper
from rich.console import Console

GOLDEN = Path(__file__).parent / "golden" / "loss-1.json"
MEMO = "There are two red cars next to a green tree."
SCENE = {
    "objects": [{"noun": "car", "count": 2, "colour": "red"}, {"noun": "tree", "count": 1, "colour": "green"}],
    "relations": [{"subject": "car", "relation": "next to", "object": "tree"}],
    "text": "",
}


READERS: Mapping[str, Sequence[Backend]] = {"audio": [FasterWhisper()], "image": [Offline()]}


class Chain:
    """A run that is written down step by step."""

    def __init__(self) -> None:
        self.store: dict[str, Artifact] = {}
        self.hops: list[Hop] = []
        self.probes: list[Probe] = []
        self.attachments: list[AttachmentRecord] = []
        self.steps: list[dict[str, Any]] = []

    def put(self, modality: str, content: str) -> ArtifactRef:
        made = Artifact(data=content.encode(), modality=modality, media_type=f"{modality}/test")
        self.store[made.id] = made
        return ArtifactRef(id=made.id, modality=modality, media_type=made.media_type, size_bytes=len(made.data))

    def attach(self, handle: str, modality: str, content: str, reference: str | None = None) -> ArtifactRef:
        artifact = self.put(modality, content)
        said = self.put("text", reference) if reference is not None else None
        self.attachments.append(AttachmentRecord(handle=handle, name=f"{handle}.x", artifact=artifact, reference=said))
        return artifact

    def hop(self, backend: str, inputs: Mapping[str, Any], *outputs: ArtifactRef, **more: Any) -> Hop:
        """One hop: inputs by port, each an artifact; a new step unless `step` is given."""
        tool = backend.partition(":")[0]
        step = more.pop("step", None) or f"step{len(self.steps) + 1}"
        made = Hop(
            id=len(self.hops) + 1,
            run="calm-otter",
            step=step,
            tool=tool,
            backend=backend,
            inputs={name: ref if isinstance(ref, tuple) else (ref,) for name, ref in inputs.items()},
            outputs={"output": outputs},
            **{"status": "ok", **more},
        )
        self.hops.append(made)
        if step not in [s["id"] for s in self.steps]:
            self.steps.append({"id": step, "tool": tool, "inputs": {}})
        return made

    def probe(self, node: ArtifactRef, hop: Hop, reader: str, reading: str | None, **more: Any) -> None:
        read = self.put("text", reading) if reading is not None else None
        self.probes.append(
            Probe(id=len(self.probes) + 1, run="calm-otter", node=node, hop=hop.id, reader=reader, reading=read, **more)
        )

    @property
    def run(self) -> RunRecord:
        return RunRecord(
            id="calm-otter",
            conversation="c",
            position=1,
            request="r",
            attachments=tuple(self.attachments),
            plan={"format": "hopline.plan/1", "steps": self.steps},
        )

    def read(self, ref: ArtifactRef) -> Artifact:
        if ref.id not in self.store:
            raise NotFound(f"there is no artifact {ref.id[:12]}.")
        return self.store[ref.id]

    def loss(self) -> RunLoss:
        return measure(self.run, self.hops, self.probes, self.read)

    def wanted(self) -> list[tuple[int | None, str]]:
        """The hops whose outputs should be read, each with who does: the readers of the profile `offline`."""
        found = probes_wanted(self.run, self.hops, READERS.__getitem__, self.probes)
        return [(node.hop, reader.id) for node, able in found for reader in able]


def demo(reference: str | None = MEMO, caption: str = "The picture shows two red cars and a green tree.") -> Chain:
    """Memo → transcript → picture → description → speech, with one fact lost at the description."""
    chain = Chain()
    audio = chain.attach("audio1", "audio", "memo", reference)
    transcript = chain.put("text", "there are two red cars next to a green tree")
    chain.hop("speech_to_text:faster-whisper", {"audio": audio}, transcript)
    picture = chain.put("image", "picture")
    chain.hop("text_to_image:pictograms", {"text": transcript}, picture, details={"declared": SCENE})
    described = chain.put("text", caption)
    chain.hop("image_captioning:offline", {"image": picture}, described, details={"reader": "exemplar"})
    speech = chain.put("audio", "speech")
    cut = MechanicalLoss(kind="truncated", message="cut at 100 words", before=120, after=100, unit="words")
    spoken = chain.hop("text_to_speech:piper", {"text": described}, speech, mechanical_losses=(cut,))
    chain.probe(speech, spoken, "speech_to_text:faster-whisper", caption.lower().rstrip("."))
    return chain


def row(loss: RunLoss, step: str) -> HopLoss:
    return next(hop for hop in loss.hops if hop.step == step)


def states(loss: RunLoss, fact: str) -> dict[str, str]:
    return dict(next(f.states for f in loss.facts if f.id.endswith(fact)))


def test_the_golden_run() -> None:
    plain = json.loads(json.dumps(demo().loss().to_json()))
    for hop in plain["hops"]:
        for score in hop["scores"]:
            score["value"] = None if score["value"] is None else round(score["value"], 4)
            score["signature"] = score["signature"].rpartition("|")[0] or score["signature"]
    assert plain == json.loads(GOLDEN.read_text("utf-8"))


def test_a_reference_scores_the_first_hop() -> None:
    first = row(demo().loss(), "step1")
    assert (first.kept, first.altered, first.missing, first.void, first.invented) == (6, 0, 0, 0, 0)
    assert first.against == "audio1"
    assert {s.metric: s.value for s in first.scores}["wer"] == 0


def test_each_fact_that_went_is_counted_once_at_the_hop_after_its_last_sighting() -> None:
    loss = demo(caption="The picture shows three red cars.").loss()
    assert [hop.not_seen_since for hop in loss.hops] == [
        0,
        None,
        2,
        0,
    ]  # the tree, with all said of it void, and how many cars
    gone = [f.id for f in loss.facts if set(f.states.values()) & {"not_read", "altered"}]
    assert len(gone) == sum(hop.not_seen_since or 0 for hop in loss.hops)
    chain = Chain()
    first = chain.put("text", "Two red cars.")
    spoken = chain.attach("text1", "text", "Two red cars and a dog.")
    chain.hop("a:x", {"text": spoken}, first)
    chain.hop("b:x", {"text": first}, chain.put("text", "Two red cars and a dog."))
    assert [hop.not_seen_since for hop in chain.loss().hops] == [0, 0], "seen again: the first reader had missed it"


def test_the_terminals_table_has_blame_cuts_and_bits_beside_the_counts() -> None:
    (message,) = SPEECH.messages(1)
    chain = Chain()
    sent = chain.attach("text1", "text", message.text)
    cut = MechanicalLoss(kind="not_spoken", message="a word was not spoken")
    heard = chain.put("text", message.text.replace("ladders", "letters"))
    chain.hop("a:x", {"text": sent}, heard, mechanical_losses=(cut,))
    shown = io.StringIO()
    show_loss(chain.loss().to_json(), Console(file=shown, width=200))
    head, row, beside, *rest = (line.split() for line in shown.getvalue().splitlines()[1:])
    assert " ".join(head) == "hop kept altered missing void invented not seen since"
    assert row[:7] == ["step1", "a", *(str(count) for count in counts(chain))]
    assert beside[:4] == ["step1", "a", "against", "text1:"]
    assert "slot_bits" in " ".join(beside)
    assert " ".join(beside).endswith("cut: not spoken")
    assert any("probe message" in " ".join(line) for line in rest)


def counts(chain: Chain) -> list[int | None]:
    (hop,) = chain.loss().hops
    return [hop.kept, hop.altered, hop.missing, hop.void, hop.invented]


def test_bits_of_a_probe_message_and_of_no_other_text() -> None:
    (message,) = SPEECH.messages(1)
    chain = Chain()
    sent = chain.attach("text1", "text", message.text)
    heard = chain.put("text", message.text.lower().replace("three", "free").replace("wednesday", "friday"))
    chain.hop("a:x", {"text": sent}, heard)
    chain.hop("b:x", {"text": heard}, chain.put("text", ""))
    loss = chain.loss()
    found = [score for hop in loss.hops for score in hop.scores if score.metric == "slot_bits"]
    lost = sum(slot.bits for slot in SPEECH.slots if slot.name in ("count", "day"))
    assert [score.value for score in found] == [pytest.approx(SPEECH.bits - lost), 0.0]
    assert found[0].signature == f"slot_bits|grammar:speech|messages:1|of:{SPEECH.bits:.2f}|1"
    assert "text1 is a probe message of 21.81 bits" in loss.notes[-1]
    assert not [s for hop in demo().loss().hops for s in hop.scores if s.metric == "slot_bits"]


def test_without_a_reference_the_first_hop_is_unscored_and_the_rest_is_measured_against_it() -> None:
    loss = demo(reference=None).loss()
    first, third = row(loss, "step1"), row(loss, "step3")
    assert first.unscored == "no reference"
    assert (first.kept, first.scores) == (None, ())
    assert third.against == "step1"
    assert third.kept == 5
    assert "No reference: what follows step1 is measured against step1." in loss.notes
    assert {f.source for f in loss.facts} == {"step1"}


def test_a_picture_that_only_the_next_hop_reads_makes_one_round_trip() -> None:
    loss = demo().loss()
    drawn, described = row(loss, "step2"), row(loss, "step3")
    assert drawn.unscored == "reader equals next hop"
    assert drawn.kept is None
    assert drawn.round_trip == described.round_trip == (2, 3)
    assert (described.kept, described.missing) == (5, 1)
    assert row(loss, "step4").round_trip is None


def test_a_declared_node_shows_what_was_drawn_without_being_read() -> None:
    loss = demo().loss()
    node = next(n for n in loss.nodes if n.id == "step2")
    assert (node.evidence, node.reader, node.text) == ("declared", None, None)
    assert states(loss, "relation:car~tree") == {
        "audio1": "seen", "step1": "seen", "step2": "seen", "step3": "not_read", "step4": "not_read",
    }  # fmt: skip
    assert any("declared" in note for note in loss.notes)


@pytest.mark.parametrize(
    ("reader", "details", "inner"),
    [
        ("image_captioning:exemplar", {}, True),
        ("image_captioning:offline", {"reader": "exemplar"}, True),
        ("image_captioning:offline", {"reader": "image_captioning:exemplar"}, True),
        ("image_captioning:blip", {}, False),
        ("image_captioning:tagger", {}, False),
    ],
)
def test_a_reading_by_the_next_hop_is_not_used(reader: str, details: dict[str, str], inner: bool) -> None:
    chain = demo()
    picture = chain.hops[1].output_list[0]
    chain.probe(picture, chain.hops[1], reader, "A red car.", details=details)
    drawn = row(chain.loss(), "step2")
    assert (drawn.unscored == "reader equals next hop") is inner
    assert (drawn.kept is None) is inner
    if not inner:
        node = next(n for n in chain.loss().nodes if n.id == "step2")
        assert (node.evidence, node.reader) == ("read", reader)
        assert row(chain.loss(), "step3").round_trip is None


def test_the_same_model_under_another_name_is_the_same_reader() -> None:
    chain = demo()
    chain.hops[2] = Hop(**{**_fields(chain.hops[2]), "identity": {"model": "abc"}, "backend": "image_captioning:a"})
    picture = chain.hops[1].output_list[0]
    chain.probe(picture, chain.hops[1], "image_captioning:b", "A red car.", identity={"model": "abc"})
    assert row(chain.loss(), "step2").unscored == "reader equals next hop"


def _fields(hop: Hop) -> dict[str, Any]:
    return {name: getattr(hop, name) for name in Hop.__dataclass_fields__}


def test_speech_that_goes_back_to_text_is_one_round_trip() -> None:
    chain = Chain()
    text = chain.attach("text1", "text", "two red cars and a dog")
    speech = chain.put("audio", "speech")
    chain.hop("text_to_speech:piper", {"text": text}, speech, details={"declared": {"text": "two red cars and a dog"}})
    chain.hop("speech_to_text:faster-whisper", {"audio": speech}, chain.put("text", "two red cars and the fog"))
    loss = chain.loss()
    assert chain.wanted() == []
    assert row(loss, "step1").unscored == "reader equals next hop"
    assert row(loss, "step1").round_trip == row(loss, "step2").round_trip == (1, 2)
    assert row(loss, "step2").kept == 3
    assert states(loss, "object:dog")["step1"] == "seen"


def test_probes_are_wanted_where_nobody_else_reads() -> None:
    chain = demo()
    assert chain.wanted() == []
    chain.probes.clear()
    assert chain.wanted() == [(4, "speech_to_text:faster-whisper")]


def test_a_node_nobody_read_is_unscored_and_says_so() -> None:
    chain = demo()
    chain.probes.clear()
    loss = chain.loss()
    assert row(loss, "step4").unscored == "not read"
    assert states(loss, "object:car")["step4"] == "unscored"
    assert next(f for f in loss.facts if f.id.endswith("object:car")).last_seen == "step3"


def test_a_reader_that_failed_is_named() -> None:
    chain = demo()
    chain.probes.clear()
    speech = chain.hops[3].output_list[0]
    chain.probe(speech, chain.hops[3], "speech_to_text:x", None, error=Failure(reason="timeout", message="too slow"))
    assert row(chain.loss(), "step4").unscored == "the reader failed: too slow"


def test_a_fact_seen_again_after_a_gap() -> None:
    chain = Chain()
    text = chain.attach("text1", "text", "a dog and a cat")
    middle = chain.put("text", "a cat")
    chain.hop("summarization:x", {"text": text}, middle)
    chain.hop("summarization:x", {"text": middle}, chain.put("text", "a cat and a dog"))
    loss = chain.loss()
    assert states(loss, "object:dog") == {"text1": "seen", "step1": "not_read", "step2": "seen_again"}
    assert next(f for f in loss.facts if f.id.endswith("object:dog")).last_seen == "step2"


def test_invented_facts_are_dated_once_at_their_first_node() -> None:
    chain = Chain()
    text = chain.attach("text1", "text", "a dog")
    middle = chain.put("text", "a dog and a blue bird")
    chain.hop("summarization:x", {"text": text}, middle)
    chain.hop("summarization:x", {"text": middle}, chain.put("text", "a dog, a blue bird and a horse"))
    loss = chain.loss()
    assert [(i.fact.id, i.first_seen) for i in loss.invented] == [
        ("colour:bird", "step1"), ("object:bird", "step1"), ("object:horse", "step2"),
    ]  # fmt: skip
    assert [row(loss, s).invented for s in ("step1", "step2")] == [2, 1]


def test_altered_facts_say_what_they_became() -> None:
    chain = Chain()
    text = chain.attach("text1", "text", "two dogs")
    chain.hop("summarization:x", {"text": text}, chain.put("text", "three dogs"))
    fact = next(f for f in chain.loss().facts if f.fact.type == "count")
    assert (fact.states["step1"], fact.altered_to) == ("altered", {"step1": "three dogs"})


def test_text_of_the_request_is_a_source() -> None:
    chain = Chain()
    words = chain.put("text", "Draw a yellow boat on a blue lake.")
    picture = chain.put("image", "picture")
    chain.hop("text_to_image:pictograms", {"text": words}, picture)
    loss = chain.loss()
    assert [n.id for n in loss.nodes] == ["given1", "step1"]
    assert row(loss, "step1").against == "given1"
    assert chain.wanted() == [(1, "image_captioning:offline")]


def test_a_question_is_not_a_source() -> None:
    chain = Chain()
    image = chain.attach("image1", "image", "photo", "a red car and a dog")
    question = chain.put("text", "What colour is the car?")
    hop = {"image": image, "question": question}
    chain.hop("visual_question_answering:x", hop, chain.put("text", "The car is red."))
    answered = row(chain.loss(), "step1")
    assert answered.against == "image1"
    assert (answered.kept, answered.missing) == (2, 1)


def test_branches_carry_only_their_own_sources_and_a_join_carries_both() -> None:
    chain = Chain()
    one, two = chain.attach("text1", "text", "a red car"), chain.attach("text2", "text", "three dogs")
    left, right = chain.put("text", "a car"), chain.put("text", "dogs in the rain")
    chain.hop("summarization:x", {"text": one}, left)
    chain.hop("summarization:x", {"text": two}, right)
    chain.hop("summarization:x", {"text": (left, right)}, chain.put("text", "a red car and three dogs"))
    loss = chain.loss()
    assert [row(loss, s).against for s in ("step1", "step2", "step3")] == ["text1", "text2", "text1+text2"]
    assert row(loss, "step3").kept == 4
    assert states(loss, "colour:car") == {"text1": "seen", "step1": "not_read", "step3": "seen_again"}
    assert "step1" not in states(loss, "object:dog")


def test_mapped_steps_have_a_node_for_each_item() -> None:
    chain = Chain()
    for k, said in enumerate(("a red car", "a dog")):
        image = chain.attach(f"image{k + 1}", "image", f"photo {k}", said)
        chain.hop("image_captioning:x", {"image": image}, chain.put("text", said), step="step1", item=k)
    loss = chain.loss()
    assert [n.id for n in loss.nodes if n.step] == ["step1.0", "step1.1"]
    assert [(h.against, h.kept) for h in loss.hops] == [("image1", 2), ("image2", 1)]


@pytest.mark.parametrize("status", ["failed", "cancelled", "skipped", "running"])
def test_a_hop_that_did_not_end_well_is_unscored(status: str) -> None:
    chain = Chain()
    text = chain.attach("text1", "text", "a dog")
    chain.hop("summarization:x", {"text": text}, status=status, error=Failure(reason="timeout", message="m"))
    assert row(chain.loss(), "step1").unscored == ("the hop failed" if status == "failed" else f"the hop is {status}")


def test_another_language_is_unscored() -> None:
    chain = Chain()
    text = chain.attach("text1", "text", "a red car")
    french = chain.put("text", "une voiture rouge")
    chain.hop("translation:x", {"text": text}, french, parameters={"language": "French"})
    chain.hop("translation:x", {"text": french}, chain.put("text", "a red car"), parameters={"language": "English"})
    loss = chain.loss()
    assert row(loss, "step1").unscored == "facts are read in en only, this is french"
    assert row(loss, "step2").kept == 2


def test_music_has_no_reader() -> None:
    chain = Chain()
    text = chain.attach("text1", "text", "a calm melody with a drum")
    chain.hop("text_to_audio:x", {"text": text}, chain.put("audio", "music"))
    assert chain.wanted() == []
    assert row(chain.loss(), "step1").unscored == "no reader for sounds"


def test_an_artifact_that_is_gone_is_a_note() -> None:
    chain = demo()
    del chain.store[chain.hops[0].output_list[0].id]
    loss = chain.loss()
    assert row(loss, "step1").unscored == "not read"
    assert any("cannot be read" in note for note in loss.notes)


def test_a_child_hop_is_no_node() -> None:
    chain = demo()
    picture = chain.hops[1].output_list[0]
    child = {**_fields(chain.hops[2]), "id": 9, "parent": 3, "outputs": {"text": (chain.put("text", "x"),)}}
    assert child["inputs"] == {"image": (picture,)}
    chain.hops.append(Hop(**child))
    assert [n.id for n in chain.loss().nodes] == ["audio1", "step1", "step2", "step3", "step4"]
