"""The encoder equals a plain numpy forward pass of the same weights."""

from __future__ import annotations

import numpy as np
import pytest
from hopline.tools.encoder import DIMENSIONS, MODEL, Encoder
from hopline.tools.models import path_of
from numpy.typing import NDArray

Vector = NDArray[np.float32]
TEXTS = ["Someone plays an instrument", "A man is playing guitar", "The sky is blue.", "x"]


def reference(text: str) -> Vector:
    """BERT by the book, one text at a time, no padding."""
    from safetensors.numpy import load_file
    from scipy.special import erf
    from tokenizers import Tokenizer

    weights = load_file(path_of(MODEL) / "model.safetensors")
    tokenizer = Tokenizer.from_file(str(path_of(MODEL) / "tokenizer.json"))
    tokenizer.no_padding()
    ids = tokenizer.encode(text).ids

    def norm(x: Vector, name: str) -> Vector:
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-12)
        return np.asarray(scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"])

    def dense(x: Vector, name: str) -> Vector:
        return np.asarray(x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"])

    x = weights["embeddings.word_embeddings.weight"][ids]
    x = x + weights["embeddings.position_embeddings.weight"][: len(ids)]
    x = norm(x + weights["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
    for layer in range(6):
        at = f"encoder.layer.{layer}"
        query, key, value = (
            dense(x, f"{at}.attention.self.{part}").reshape(len(ids), 12, 32).transpose(1, 0, 2)
            for part in ("query", "key", "value")
        )
        scores = np.exp(query @ key.transpose(0, 2, 1) / np.sqrt(32))
        mixed = (scores / scores.sum(-1, keepdims=True)) @ value
        mixed = mixed.transpose(1, 0, 2).reshape(len(ids), DIMENSIONS)
        x = norm(x + dense(mixed, f"{at}.attention.output.dense"), f"{at}.attention.output.LayerNorm")
        inner = dense(x, f"{at}.intermediate.dense")
        inner = inner * 0.5 * (1 + erf(inner / np.sqrt(2)))
        x = norm(x + dense(inner, f"{at}.output.dense"), f"{at}.output.LayerNorm")
    mean = x.mean(0)
    return np.asarray(mean / np.linalg.norm(mean))


@pytest.mark.models
def test_it_equals_the_plain_forward_pass() -> None:
    vectors = Encoder().encode(TEXTS)
    assert vectors.shape == (len(TEXTS), DIMENSIONS)
    for text, vector in zip(TEXTS, vectors, strict=True):
        assert np.abs(vector - reference(text)).max() < 1e-5


@pytest.mark.models
def test_laws() -> None:
    encoder = Encoder()
    vectors = encoder.encode(TEXTS)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    alone = np.concatenate([encoder.encode([text]) for text in TEXTS])
    assert np.abs(vectors - alone).max() < 1e-5, "padding in a batch changes nothing"
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.3
    assert encoder.encode([]).shape == (0, DIMENSIONS)
    assert np.isfinite(encoder.encode(["", "word " * 2000])).all()
