"""Tiny models of the real classes, built from their configurations, saved, and loaded by the real code path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of models without any."""
    return tmp_path_factory.mktemp("models")


@pytest.fixture(autouse=True)
def no_models(home: Path, models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is pulled, and nobody's cache of the hub is read."""
    monkeypatch.setenv("HOPLINE_MODELS", str(models))
    monkeypatch.setenv("HF_HOME", str(models / "cache"))


@pytest.fixture(scope="session")
def torch_ready() -> None:
    """Few threads, quiet libraries."""
    from hopline.tools.pretrained import prepare_torch

    prepare_torch()


def clip_tokenizer() -> Any:
    """CLIP's own kind, of the 256 byte symbols alone: a token a letter."""
    from transformers import CLIPTokenizer
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    symbols = list(bytes_to_unicode().values())
    names = [*symbols, *(symbol + "</w>" for symbol in symbols), "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(vocab={name: number for number, name in enumerate(names)}, merges=[], model_max_length=77)


@pytest.fixture(scope="session")
def tiny_diffusion(tmp_path_factory: pytest.TempPathFactory, torch_ready: None) -> Path:
    """A Stable Diffusion pipeline with random weights."""
    import torch
    from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    torch.manual_seed(0)
    tokenizer = clip_tokenizer()
    pipeline = StableDiffusionPipeline(
        unet=UNet2DConditionModel(
            block_out_channels=(32, 64),
            layers_per_block=1,
            sample_size=8,
            in_channels=4,
            out_channels=4,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            cross_attention_dim=32,
            attention_head_dim=8,
        ),
        vae=AutoencoderKL(
            block_out_channels=(8, 16, 16, 16),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            norm_num_groups=8,
            latent_channels=4,
        ),
        text_encoder=CLIPTextModel(
            CLIPTextConfig(
                vocab_size=len(tokenizer),
                hidden_size=32,
                intermediate_size=37,
                num_attention_heads=4,
                num_hidden_layers=2,
                bos_token_id=512,
                eos_token_id=513,
                pad_token_id=513,
            )
        ),
        tokenizer=tokenizer,
        scheduler=DDIMScheduler(clip_sample=False, set_alpha_to_one=False, steps_offset=1),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    return saved(pipeline, tmp_path_factory.mktemp("diffusion"))


def saved(model: Any, folder: Path) -> Path:
    model.save_pretrained(folder, safe_serialization=True)
    return folder
