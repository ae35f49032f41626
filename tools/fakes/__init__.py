"""Deterministic stand-ins for real backends, with a loss that is known and a misbehaviour on request.

They are for tests of whatever calls tools: runner, journal, loss, pages. Nothing heavy is
imported, every class is importable in a worker process, and `fake_registry()` holds them all.

- `FakeTextToSpeech`, `FakeSpeechToText`, … serve every standard tool. They carry text in valid
  small WAV, PNG and AVI files and lose words with the probability that their model part states:
  `text_to_speech:fake:drop=0.2,swap=0.1`. What was lost is in `details["lost"]`.
- `NoOp`, `Sleep`, `Crash`, `Grow`, `Fail`, `Append`, `Dice`, `Split`, `Join`, `Relay` serve
  small tools of their own (`FAKE_TOOLS`).
"""

from hopline.tools.fakes.carriers import drawn, filmed, spoken, text_in
from hopline.tools.fakes.lossy import (
    LOSSY,
    FakeAudioClassification,
    FakeAudioQuestionAnswering,
    FakeImageCaptioning,
    FakeImageOcr,
    FakeQuestionAnswering,
    FakeSpeechToText,
    FakeSummarization,
    FakeTextToAudio,
    FakeTextToImage,
    FakeTextToSpeech,
    FakeTranslation,
    FakeVideoToAudio,
    FakeVideoToImage,
    FakeVisualQuestionAnswering,
    Lossy,
)
from hopline.tools.fakes.misbehaving import (
    FAKE_TOOLS,
    MISBEHAVING,
    Append,
    Crash,
    Dice,
    Fail,
    FailTogether,
    Grow,
    Join,
    NoOp,
    NoOpInWorker,
    Relay,
    Sleep,
    SleepHere,
    Split,
)
from hopline.tools.fakes.register import fake_registry

__all__ = [
    "FAKE_TOOLS",
    "LOSSY",
    "MISBEHAVING",
    "Append",
    "Crash",
    "Dice",
    "Fail",
    "FailTogether",
    "FakeAudioClassification",
    "FakeAudioQuestionAnswering",
    "FakeImageCaptioning",
    "FakeImageOcr",
    "FakeQuestionAnswering",
    "FakeSpeechToText",
    "FakeSummarization",
    "FakeTextToAudio",
    "FakeTextToImage",
    "FakeTextToSpeech",
    "FakeTranslation",
    "FakeVideoToAudio",
    "FakeVideoToImage",
    "FakeVisualQuestionAnswering",
    "Grow",
    "Join",
    "Lossy",
    "NoOp",
    "NoOpInWorker",
    "Relay",
    "Sleep",
    "SleepHere",
    "Split",
    "drawn",
    "fake_registry",
    "filmed",
    "spoken",
    "text_in",
]
