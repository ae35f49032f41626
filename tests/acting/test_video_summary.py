"""A minute of film in which somebody speaks, and "summarise what is said in this video": offline, every hop kept."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import jiwer
import numpy as np
import pytest
from hopline.agent import Agent
from hopline.agent.hops.records import Hop
from hopline.tools import Artifact, Call
from hopline.tools.media import decode_audio
from hopline.tools.models import find
from hopline.tools.text_to_speech.piper import Piper

SPOKEN = (
    "Good morning, and welcome to the news from the harbor of Bristol. "
    "Last night a storm sank three fishing boats. Nobody was hurt. "
    "The mayor, Anna Miller, said that the city will pay for the repair of the pier. "
    "The work will take about six weeks. "
    "Until then the ferry to Wales leaves from the northern dock, every day at nine in the morning. "
    "Fishermen who lost their boats can ask for help at the town hall, on the second floor. "
    "A school nearby has collected blankets and warm clothes for the families of the crews. "
    "The weather office expects calm days until Sunday, with some rain in the evenings. "
    "People who want to help with the cleaning of the beach should meet at the old lighthouse on Saturday. "
    "Tea and sandwiches will be there for everybody. Thank you for listening, and stay safe."
)
PICTURES_A_SECOND = 5


def plain(text: str) -> str:
    """Lower case, letters only."""
    return " ".join(re.findall(r"[a-z]+", text.lower()))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film of at least 60 s: a voice over a slowly brightening picture."""
    import av

    voice = Piper()
    voice.load()
    said = voice.call(Call(inputs={"text": (Artifact.from_text(SPOKEN),)}, parameters={"speed": 0.62}))
    samples, rate_hz, _ = decode_audio(said.outputs["audio"][0])
    seconds = samples.size / rate_hz
    assert seconds >= 60
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        pictures = container.add_stream("mpeg4", rate=PICTURES_A_SECOND)
        pictures.width, pictures.height, pictures.pix_fmt = 160, 120, "yuv420p"
        sound = container.add_stream("aac", rate=rate_hz, layout="mono")
        for number in range(int(seconds * PICTURES_A_SECOND)):
            pixels = np.full((120, 160, 3), number % 250, np.uint8)
            container.mux(pictures.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(pictures.encode())
        # Headroom for what the coder adds.
        heard = av.AudioFrame.from_ndarray(0.9 * samples.reshape(1, -1), format="fltp", layout="mono")
        heard.sample_rate = rate_hz
        container.mux(sound.encode(heard))
        container.mux(sound.encode())
    path = tmp_path_factory.mktemp("film") / "clip.mp4"
    path.write_bytes(file.getvalue())
    return path


@pytest.mark.models
@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_what_is_said_in_a_video_is_summarised(clip: Path) -> None:
    with Agent.from_profile("offline") as agent:
        run = agent.run("summarise what is said in this video", [clip], planner="assisted")
        assert run.status == "ok", run.record.error
        soundtrack, transcript, summary = run.hops
        assert [hop.backend for hop in run.hops] == [
            "video_to_audio:pyav",
            "speech_to_text:faster-whisper",
            "summarization:local",
        ]
        whole_chain(agent, run.hops)

        assert soundtrack.mechanical_losses == ()
        assert soundtrack.details["duration_s"] >= 60
        heard = agent.journal.read(transcript.outputs["text"][0]).text
        assert jiwer.wer(plain(SPOKEN), plain(heard)) <= 0.08
        words = transcript.details["words"]
        assert len(words) == len(heard.split())
        assert words[-1][2] > 58, "it heard to the end"
        assert transcript.flags == ()

        short = agent.journal.read(summary.outputs["text"][0]).text
        assert 20 < len(short) < 0.6 * len(heard)
        named = {"bristol", "storm", "boats", "mayor", "pier", "ferry", "harbor", "wales"} & set(plain(short).split())
        assert len(named) >= 3, short
        assert [output.text for output in run.outputs] == [short]
        assert short in run.answer

        planned = [call for call in run.model_calls if call.hop is None]
        assert planned
        assert {call.purpose for call in planned} == {"plan"}
        (made,) = (call for call in run.model_calls if call.hop is not None)
        assert (made.hop, made.purpose, made.finish_reason) == (summary.id, "summarization", "stop")
        assert made.identity["digest"] == find(made.identity["model"]).digest
        assert made.messages is not None
        assert heard in json.loads(agent.journal.read(made.messages).text)[-1]["content"]

        (row,) = (row for row in run.loss().to_json()["hops"] if row["step"] == summary.step)
        assert row["kept"] >= 2
        assert row["missing"] >= 1, "a summary leaves out"


def whole_chain(agent: Agent, hops: list[Hop]) -> None:
    """Every hop ended well, was timed, and read exactly what the one before gave; all of it is in the store."""
    given = agent.open().record.attachments[0].artifact
    for hop in hops:
        assert (hop.status, hop.error, hop.cached_from, hop.remote) == ("ok", None, None, False)
        ((read,),) = hop.inputs.values()
        assert read == given
        assert hop.duration_ms is not None
        assert hop.duration_ms > 0
        assert hop.identity["backend"] == hop.backend
        (given,) = hop.output_list
        assert agent.journal.store.check(given.id, given.media_type) == ""
