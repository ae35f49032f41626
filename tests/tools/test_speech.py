"""Speech both ways with the real offline models."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hopline.tools import Artifact, Call, Result
from hopline.tools.errors import HopCancelled, InputRefused, MissingModel
from hopline.tools.home import limits
from hopline.tools.language import script_of, scripts_of
from hopline.tools.media import decode_audio, encode_wav, open_file
from hopline.tools.models import find
from hopline.tools.speech_to_text.faster_whisper import SIZES, FasterWhisper, _flags
from hopline.tools.text_to_speech.piper import MAX_PIECE_CHARACTERS, Piper, speakable, split
from hypothesis import given
from hypothesis import strategies as st

RATE_HZ = 16_000

WORDS = {
    "1284-1180-0003": "for a long time he had wished to explore the beautiful land of oz in which they lived",
    "4446-2271-0000": "mainhall liked alexander because he was an engineer",
    "61-70968-0000": "he began a confused complaint against the wizard who had vanished behind the curtain on the left",
    "8455-210777-0002": "on arriving at home at my own residence i found that our salon "
    "was filled with a brilliant company",
}


def plain(text: str) -> str:
    """Lower case, letters and digits only."""
    return " ".join(re.findall(r"[a-z0-9]+", text.lower()))


@pytest.fixture(scope="module")
def whisper() -> FasterWhisper:
    backend = FasterWhisper()
    backend.load()
    return backend


@pytest.fixture(scope="module")
def piper() -> Piper:
    backend = Piper()
    backend.load()
    return backend


def hear(backend: FasterWhisper, audio: Artifact, **parameters: object) -> Result:
    return backend.call(Call(inputs={"audio": (audio,)}, parameters=parameters))


def say(backend: Piper, text: str, **parameters: object) -> Result:
    return backend.call(Call(inputs={"text": (Artifact.from_text(text),)}, parameters=parameters))


def text_of(result: Result) -> str:
    return result.outputs["text"][0].text


# -- speech to text ----------------------------------------------------------------------------


@pytest.mark.models
def test_the_four_recordings(whisper: FasterWhisper, shared: Path) -> None:
    """Word error rate of at most 0.12 over all."""
    import jiwer

    spoken = list(WORDS.values())
    results = [hear(whisper, open_file(shared / "media" / f"{name}.flac")) for name in WORDS]
    assert jiwer.wer(spoken, [plain(text_of(result)) for result in results]) <= 0.12
    for result in results:
        assert result.details["flags"] == []
        assert result.mechanical_losses == ()
        for word, start_s, end_s, probability in result.details["words"]:
            assert word
            assert 0 <= start_s <= end_s <= result.details["duration_s"] + 0.1
            assert 0 <= probability <= 1
        assert len(result.details["words"]) == len(text_of(result).split())


@pytest.mark.models
@pytest.mark.parametrize("kind", ["silence", "faint noise", "noise", "hum"])
def test_no_speech_gives_no_words(whisper: FasterWhisper, kind: str) -> None:
    seconds = np.arange(10 * RATE_HZ) / RATE_HZ
    noise = np.random.default_rng(7).standard_normal(seconds.size)
    samples = {
        "silence": np.zeros(seconds.size),
        "faint noise": 0.01 * noise,
        "noise": 0.2 * noise,
        "hum": 0.4 * np.sin(2 * np.pi * 50 * seconds),
    }[kind]
    result = hear(whisper, encode_wav(samples.clip(-1, 1).astype(np.float32), RATE_HZ))
    assert (text_of(result), result.details["flags"]) == ("", ["no_speech"])
    assert result.details["notes"] == ["no speech was heard in the recording"]
    assert result.details["duration_s"] == 10


@pytest.mark.models
def test_more_than_a_minute_is_heard_whole(whisper: FasterWhisper, shared: Path) -> None:
    pause = np.zeros(RATE_HZ, np.float32)
    parts = []
    for name in list(WORDS) * 3:
        parts += [decode_audio(open_file(shared / "media" / f"{name}.flac"), RATE_HZ)[0], pause]
    samples = np.concatenate(parts)
    assert samples.size > 60 * RATE_HZ
    told: list[float] = []
    call = Call(
        inputs={"audio": (encode_wav(samples, RATE_HZ),)}, progress=lambda fraction, words: told.append(fraction)
    )
    heard = plain(text_of(whisper.call(call)))
    assert heard.count("explore the beautiful land") == 3
    assert heard.count("brilliant company") == 3
    assert told == sorted(told)
    assert 0.9 < told[-1] <= 1


@pytest.mark.models
def test_the_same_recording_gives_the_same_words(whisper: FasterWhisper, shared: Path) -> None:
    audio = open_file(shared / "media" / "4446-2271-0000.flac")
    first, again = hear(whisper, audio), hear(whisper, audio, language="auto")
    assert (first.outputs, first.details) == (again.outputs, again.details)


@pytest.mark.models
def test_another_language_asked_for_is_refused(whisper: FasterWhisper) -> None:
    with pytest.raises(InputRefused, match="English only for now, not 'de'"):
        hear(whisper, encode_wav(np.zeros(100, np.float32), RATE_HZ), language="de")


@pytest.mark.models
def test_german_speech_is_flagged(whisper: FasterWhisper) -> None:
    """German from the phonemes of espeak, which Piper carries, through the English voice."""
    result = hear(whisper, german())
    assert result.details["flags"] == ["maybe_not_english"]
    assert "English only for now" in result.details["notes"][0]


def german() -> Artifact:
    """A German sentence with German sounds, as far as the English voice has them."""
    from hopline.tools.models import path_of
    from piper import PiperVoice, SynthesisConfig
    from piper.phonemize_espeak import EspeakPhonemizer

    voice = PiperVoice.load(path_of("rhasspy/piper-voices/en_US-joe-medium") / "en_US-joe-medium.onnx")
    written = "Guten Morgen, ich möchte heute mit dem Zug nach Berlin fahren und meine Schwester besuchen."
    config = SynthesisConfig(noise_scale=0.0, noise_w_scale=0.0)
    sounds = []
    for phonemes in EspeakPhonemizer().phonemize("de", written):
        known = [phoneme for phoneme in phonemes if phoneme in voice.config.phoneme_id_map]
        made = voice.phoneme_ids_to_audio(voice.phonemes_to_ids(known), config)
        sounds.append(made[0] if isinstance(made, tuple) else made)
    return encode_wav(np.concatenate(sounds).astype(np.float32), voice.config.sample_rate)


def segment(logprob: float = -0.2, no_speech: float = 0.02, ratio: float = 1.1) -> SimpleNamespace:
    return SimpleNamespace(start=0.0, end=2.0, avg_logprob=logprob, no_speech_prob=no_speech, compression_ratio=ratio)


@pytest.mark.parametrize(
    ("text", "segments", "english_only", "flags"),
    [
        ("", [], True, ["no_speech"]),
        ("yes", [segment()], True, []),
        ("yes", [segment(-0.7)], True, []),
        ("yes", [segment(-0.4, 0.5)], True, []),
        ("yes", [segment(-0.9)], True, ["maybe_not_english"]),
        ("yes", [segment(-0.7, 0.4)], True, ["maybe_not_english"]),
        ("yes", [segment(ratio=12.0)], True, ["maybe_not_english"]),
        ("yes", [segment(-0.9)], False, ["unclear_speech"]),
        ("yes", [segment(), segment(), segment(-1.0)], True, []),
    ],
)
def test_flags(text: str, segments: list[SimpleNamespace], english_only: bool, flags: list[str]) -> None:
    assert _flags(text, segments, english_only) == flags


@pytest.mark.models
def test_it_can_be_cancelled_between_passages(whisper: FasterWhisper, shared: Path) -> None:
    def stop(fraction: float, words: str) -> None:
        raise HopCancelled("enough")

    audio = open_file(shared / "media" / "4446-2271-0000.flac")
    with pytest.raises(HopCancelled):
        whisper.call(Call(inputs={"audio": (audio,)}, progress=stop))


@pytest.mark.models
def test_side_by_side_they_say_what_they_say_alone(whisper: FasterWhisper, piper: Piper, shared: Path) -> None:
    spoken = [say(piper, text).outputs["audio"][0] for text in ("Two red cats.", "It rains.", "Tea is ready, Anna.")]
    recorded = [open_file(shared / "media" / f"{name}.flac") for name in WORDS]
    silence = encode_wav(np.zeros(RATE_HZ, np.float32), RATE_HZ)
    long = encode_wav(np.concatenate([decode_audio(audio, RATE_HZ)[0] for audio in recorded * 2]), RATE_HZ)
    told: list[float] = []
    calls = [
        Call(inputs={"audio": (audio,)}, progress=lambda fraction, words: told.append(fraction))
        for audio in (*recorded, silence, *spoken, long, *recorded)
    ]
    together = whisper.call_many(calls)
    alone = [whisper.call(call) for call in calls]
    assert [text_of(result) for result in together] == [text_of(result) for result in alone]
    for one, other in zip(together, alone, strict=True):
        assert one.details["flags"] == other.details["flags"]
        assert [word[0] for word in one.details["words"]] == [word[0] for word in other.details["words"]]
        starts = np.array([[word[1] for word in result.details["words"]] for result in (one, other)])
        assert np.abs(starts[0] - starts[1]).max(initial=0) <= 0.25
    assert max(told) == 1


@pytest.mark.models
@pytest.mark.parametrize("name", ["small", "Systran/faster-whisper-small"])
def test_a_model_that_is_not_here_names_the_command(name: str) -> None:
    with pytest.raises(MissingModel, match=f"hopline models pull speech_to_text:faster-whisper:{name}") as caught:
        FasterWhisper(name).load()
    assert caught.value.exit_code == 3
    (missing,) = FasterWhisper(name).missing()
    assert missing.command == f"hopline models pull speech_to_text:faster-whisper:{name}"
    if name == "small":
        assert "(about 486 MB)" in str(caught.value)
        assert missing.download_bytes == 486_000_000


@pytest.mark.models
def test_a_name_that_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(MissingModel, match=r"there is no Whisper model 'huge'.*large-v3-turbo"):
        FasterWhisper("huge").load()
    with pytest.raises(MissingModel, match="holds no model of CTranslate2"):
        FasterWhisper(str(tmp_path)).load()


@pytest.mark.parametrize("size", ["tiny", "base.en", "small", "medium", "large-v3", "turbo", "distil-large-v3.5"])
def test_every_size_is_a_repository_that_faster_whisper_knows(size: str) -> None:
    from faster_whisper.utils import _MODELS

    assert {name: repository for name, (repository, _) in SIZES.items()} == _MODELS
    backend = FasterWhisper(size)
    assert _MODELS[size] in backend.models or backend.hub[0].repository == _MODELS[size]
    assert backend.english_only == size.endswith(".en")


@pytest.mark.models
def test_a_folder_of_ones_own(shared: Path) -> None:
    """The same weights by their path: the same words, and an identity by digest."""
    folder = find("Systran/faster-whisper-tiny.en").path
    backend = FasterWhisper(str(folder))
    assert backend.identity()["model"] == find("Systran/faster-whisper-tiny.en").digest
    assert backend.missing() == ()
    backend.load()
    assert backend.english_only
    heard = text_of(hear(backend, open_file(shared / "media" / "4446-2271-0000.flac")))
    assert heard == "Main Hall liked Alexander because he was an engineer."


@pytest.fixture(scope="module")
def many_languages() -> FasterWhisper:
    backend = FasterWhisper("base")
    backend.load()
    return backend


@pytest.mark.models
@pytest.mark.slow
def test_a_model_of_many_languages(many_languages: FasterWhisper, shared: Path) -> None:
    import jiwer

    assert not many_languages.english_only
    results = [hear(many_languages, open_file(shared / "media" / f"{name}.flac"), language="auto") for name in WORDS]
    assert jiwer.wer(list(WORDS.values()), [plain(text_of(result)) for result in results]) <= 0.08
    for result in results:
        assert result.details["language"] == "en"
        assert result.details["language_probability"] > 0.9
    with pytest.raises(InputRefused, match="knows no language 'klingon'"):
        hear(many_languages, german(), language="klingon")


@pytest.mark.models
@pytest.mark.slow
def test_languages_are_told_apart(many_languages: FasterWhisper) -> None:
    result = hear(many_languages, german(), language="de")
    assert result.details["language"] == "de"
    assert text_of(result).startswith("Guten Morgen")


def test_identity_names_what_decides() -> None:
    identity = FasterWhisper().identity()
    assert identity["backend"] == "speech_to_text:faster-whisper"
    assert identity["model Systran/faster-whisper-tiny.en"].startswith("1a5afae0")
    assert (identity["compute_type"], identity["beam_size"]) == ("int8", "5")
    assert FasterWhisper("small").english_only is False
    assert FasterWhisper("base.en").english_only is True


# -- text to speech ----------------------------------------------------------------------------


@pytest.mark.models
def test_the_same_text_gives_the_same_bytes(piper: Piper) -> None:
    first, again = say(piper, "Two red cats."), say(piper, "Two red cats.")
    assert first.outputs["audio"][0].id == again.outputs["audio"][0].id
    fresh = Piper()
    fresh.load()
    assert say(fresh, "Two red cats.").outputs["audio"][0].id == first.outputs["audio"][0].id


@pytest.mark.models
def test_what_is_said_is_understood(piper: Piper, whisper: FasterWhisper) -> None:
    result = say(piper, "Two red cats sit on a blue boat.")
    audio = result.outputs["audio"][0]
    samples, rate_hz, losses = decode_audio(audio)
    assert (rate_hz, losses) == (22_050, [])
    assert samples.size / rate_hz == pytest.approx(result.details["duration_s"], abs=0.001)
    assert result.details["declared"] == {"text": "Two red cats sit on a blue boat."}
    assert plain(text_of(hear(whisper, audio))) == "two red cats sit on a blue boat"


@pytest.mark.models
def test_speed(piper: Piper) -> None:
    text = "The harbour was quiet in the morning and the boats lay still."
    slow, normal, fast = (say(piper, text, speed=speed).details["duration_s"] for speed in (0.5, 1.0, 2.0))
    assert slow / normal == pytest.approx(2, rel=0.2)
    assert normal / fast == pytest.approx(2, rel=0.2)


@pytest.mark.models
@pytest.mark.parametrize("text", ["", "   \n", "...!!!", "—", "\x00\x07\x1b", "🦓🦓", "\u202e\ufeff"])
def test_nothing_to_say_is_refused(piper: Piper, text: str) -> None:
    with pytest.raises(InputRefused, match="no word or number"):
        say(piper, text)


@pytest.mark.models
@pytest.mark.parametrize(("text", "script"), [("Привет, мир", "Cyrillic"), ("你好，世界", "Cjk"), ("مرحبا", "Arabic")])
def test_other_scripts_are_refused(piper: Piper, text: str, script: str) -> None:
    with pytest.raises(InputRefused, match=f"{script} script; this voice speaks English only for now"):
        say(piper, text)


@pytest.mark.models
@pytest.mark.parametrize(
    ("text", "flags"),
    [
        ("The dog and the cat sit on the bench.", []),
        ("Yes.", []),
        ("A café in Zürich.", []),
        ("Der Hund und die Katze sind nicht auf der Bank.", ["maybe_not_english"]),
        ("Le chien et le chat sont dans la maison avec vous.", ["maybe_not_english"]),
        ("They say привет there.", ["maybe_not_english"]),
    ],
)
def test_other_languages_are_flagged(piper: Piper, text: str, flags: list[str]) -> None:
    details = say(piper, text).details
    assert details["flags"] == flags
    assert ["English only for now" in note for note in details["notes"]] == [True] * len(flags)


@pytest.fixture
def german_voice(tmp_path: Path) -> Piper:
    """Joe's voice with a German description: it takes German text and makes German sounds."""
    joe = find("rhasspy/piper-voices/en_US-joe-medium").path
    (tmp_path / "joe.onnx").symlink_to(joe / "en_US-joe-medium.onnx")
    about = json.loads((joe / "en_US-joe-medium.onnx.json").read_text("utf-8"))
    about["espeak"]["voice"] = "de"
    about["language"] = {"code": "de_DE", "family": "de", "name_english": "German"}
    (tmp_path / "joe.onnx.json").write_text(json.dumps(about), "utf-8")
    backend = Piper(str(tmp_path / "joe.onnx"))
    backend.load()
    return backend


@pytest.mark.models
def test_a_voice_of_another_language(german_voice: Piper) -> None:
    own = say(german_voice, "Der Hund und die Katze sind nicht auf der Bank.")
    assert (own.details["flags"], own.details["language"]) == ([], "de")
    other = say(german_voice, "The dog and the cat sit on the bench with you.").details
    assert other["flags"] == ["other_language"]
    assert other["notes"] == ["the text does not look like German, and this voice speaks German only for now"]
    with pytest.raises(InputRefused, match="Cyrillic script; this voice speaks German only for now"):
        say(german_voice, "Привет, мир")
    assert german_voice.identity()["voice"] == find("rhasspy/piper-voices/en_US-joe-medium").digest


@pytest.mark.models
def test_voices_by_name() -> None:
    joe = Piper("en_US-joe-medium")
    assert joe.models == ("rhasspy/piper-voices/en_US-joe-medium",)
    joe.load()
    thorsten = Piper("de_DE-thorsten-medium")
    assert thorsten.hub[0].main == "de/de_DE/thorsten/medium/de_DE-thorsten-medium.onnx"
    assert thorsten.hub[0].files == ("de/de_DE/thorsten/medium/de_DE-thorsten-medium.onnx.json",)
    command = "hopline models pull text_to_speech:piper:de_DE-thorsten-medium"
    with pytest.raises(MissingModel, match=rf"{command}  \(about 63 MB\)"):
        thorsten.load()
    with pytest.raises(MissingModel, match="Give the name of a voice"):
        Piper("nobody").load()


@pytest.mark.parametrize(
    ("language", "text"), [("ru", "Привет"), ("zh", "你好"), ("ar", "مرحبا"), ("de", "Grüße"), ("el", "γεια")]
)
def test_languages_have_their_scripts(language: str, text: str) -> None:
    assert script_of(text) in scripts_of(language)


@pytest.mark.models
def test_what_cannot_be_spoken_is_reported(piper: Piper) -> None:
    result = say(piper, "A zebra 🦓 and\x07 a cat")
    (loss,) = result.mechanical_losses
    assert (loss.kind, loss.before, loss.after, loss.unit) == ("not_spoken", 20, 18, "characters")
    assert "🦓" in loss.message
    assert "\x07" not in loss.message
    assert result.details["declared"] == {"text": "A zebra and a cat"}


@pytest.mark.models
def test_a_long_text_is_spoken_sentence_by_sentence(piper: Piper, caplog: pytest.LogCaptureFixture) -> None:
    text = "The boats lay still. " * 30
    told: list[str] = []
    with caplog.at_level(logging.WARNING):
        result = piper.call(
            Call(inputs={"text": (Artifact.from_text(text),)}, progress=lambda fraction, words: told.append(words))
        )
    assert result.details["pieces"] == 30
    assert told[-1] == "30 of 30 sentences spoken"
    assert result.details["duration_s"] > 30
    assert caplog.records == []


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.models
def test_ten_thousand_words_are_spoken(piper: Piper) -> None:
    text = "The old harbour was quiet and the boats lay very still. " * 910
    result = say(piper, text)
    assert len(text.split()) > 10_000
    assert result.details["pieces"] == 910
    assert result.mechanical_losses == ()


def test_too_long_names_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOPLINE_MAX_SPEECH_CHARACTERS", "10")
    limits.cache_clear()
    with pytest.raises(InputRefused, match=r"has 11 characters; at most 10 .* Raise HOPLINE_MAX_SPEECH_CHARACTERS"):
        speakable("hello world")


@given(st.text(max_size=1500))
def test_splitting_loses_no_word(text: str) -> None:
    pieces = list(split(text))
    assert all(0 < len(piece) <= MAX_PIECE_CHARACTERS for piece in pieces)
    assert re.findall(r"\w", "".join(pieces)) == re.findall(r"\w", text) or not any(c.isalnum() for c in text)


@given(st.text(max_size=300))
def test_what_is_speakable_is_clean(text: str) -> None:
    try:
        spoken, losses = speakable(text)
    except InputRefused:
        return
    assert spoken == spoken.strip()
    assert all(c.isprintable() or c == "\n" for c in spoken)
    assert speakable(spoken) == (spoken, ())
    assert all(loss.before is not None and loss.after is not None and loss.after < loss.before for loss in losses)
