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


# -- models that look at pictures --------------------------------------------------------------

WORDS = (
    "a the red blue green cat cats dog dogs boat house tree sits on two three what colour is in how many one yes no of"
).split()
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def word_tokenizer(folder: Path, length: int = 512) -> Any:
    """BERT's own kind, with a vocabulary of a few words."""
    from transformers import BertTokenizer

    vocabulary = {word: number for number, word in enumerate([*SPECIAL, *WORDS])}
    return BertTokenizer(vocab=vocabulary, model_max_length=length)


def blip_config(kind: str) -> Any:
    from transformers import BlipConfig

    words = len(SPECIAL) + len(WORDS)
    text = {
        "vocab_size": words,
        "hidden_size": 32,
        "encoder_hidden_size": 32,
        "intermediate_size": 37,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": 64,
        "bos_token_id": 2,
        "eos_token_id": 3,
        "sep_token_id": 3,
        "pad_token_id": 0,
        "projection_dim": 32,
    }
    vision = {
        "hidden_size": 32,
        "intermediate_size": 37,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "image_size": 32,
        "patch_size": 8,
    }
    return BlipConfig(text_config=text, vision_config=vision, projection_dim=32, architectures=[kind])


def blip(kind: str, folder: Path) -> Path:
    import torch
    import transformers
    from transformers import BlipImageProcessor, BlipProcessor

    torch.manual_seed(0)
    saved(getattr(transformers, kind)(blip_config(kind)), folder)
    sizes = {"height": 32, "width": 32}
    return saved(BlipProcessor(BlipImageProcessor(size=sizes), word_tokenizer(folder)), folder)


@pytest.fixture(scope="session")
def tiny_blip(tmp_path_factory: pytest.TempPathFactory, torch_ready: None) -> Path:
    return blip("BlipForConditionalGeneration", tmp_path_factory.mktemp("blip"))


@pytest.fixture(scope="session")
def tiny_blip_vqa(tmp_path_factory: pytest.TempPathFactory, torch_ready: None) -> Path:
    return blip("BlipForQuestionAnswering", tmp_path_factory.mktemp("blip-vqa"))


@pytest.fixture(scope="session")
def tiny_vilt(tmp_path_factory: pytest.TempPathFactory, torch_ready: None) -> Path:
    import torch
    from transformers import ViltConfig, ViltForQuestionAnswering, ViltImageProcessor, ViltProcessor

    folder = tmp_path_factory.mktemp("vilt")
    torch.manual_seed(0)
    config = ViltConfig(
        vocab_size=len(SPECIAL) + len(WORDS),
        hidden_size=32,
        intermediate_size=37,
        num_hidden_layers=2,
        num_attention_heads=4,
        image_size=64,
        patch_size=16,
        max_position_embeddings=12,
        id2label={0: "yes", 1: "no", 2: "red", 3: "blue", 4: "two", 5: "three"},
    )
    saved(ViltForQuestionAnswering(config), folder)
    images: Any = ViltImageProcessor(size={"shortest_edge": 64})
    images.size_divisor = 32
    return saved(ViltProcessor(images, word_tokenizer(folder, 12)), folder)


@pytest.fixture(scope="session")
def tiny_git(tmp_path_factory: pytest.TempPathFactory, torch_ready: None) -> Path:
    """It sees a square from the middle of a picture."""
    import torch
    from transformers import CLIPImageProcessor, GitConfig, GitForCausalLM, GitProcessor

    folder = tmp_path_factory.mktemp("git")
    torch.manual_seed(0)
    vision = {
        "hidden_size": 32,
        "intermediate_size": 37,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "image_size": 32,
        "patch_size": 8,
    }
    config = GitConfig(
        vision_config=vision,
        vocab_size=len(SPECIAL) + len(WORDS),
        hidden_size=32,
        intermediate_size=37,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=96,
        bos_token_id=2,
        eos_token_id=3,
        pad_token_id=0,
    )
    saved(GitForCausalLM(config), folder)
    images = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    return saved(GitProcessor(images, word_tokenizer(folder)), folder)


@pytest.fixture(scope="session")
def tiny_llava(tmp_path_factory: pytest.TempPathFactory, torch_ready: None) -> Path:
    """A model that chats, asked through its template."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import (
        CLIPImageProcessor,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
        PreTrainedTokenizerFast,
    )

    folder = tmp_path_factory.mktemp("llava")
    torch.manual_seed(0)
    names = ["<pad>", "<unk>", "<s>", "</s>", "<image>", "USER:", "ASSISTANT:", *WORDS]
    made = Tokenizer(models.WordLevel({name: number for number, name in enumerate(names)}, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=made,
        pad_token="<pad>",
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        additional_special_tokens=["<image>"],
    )
    common = {"hidden_size": 32, "intermediate_size": 37, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = LlavaConfig(
        vision_config={"model_type": "clip_vision_model", "image_size": 32, "patch_size": 8, **common},
        text_config={
            "model_type": "llama",
            "vocab_size": len(names),
            "num_key_value_heads": 4,
            "pad_token_id": 0,
            "bos_token_id": 2,
            "eos_token_id": 3,
            **common,
        },
        image_token_index=4,
        vision_feature_layer=-1,
    )
    saved(LlavaForConditionalGeneration(config), folder)
    template = (
        "{% for m in messages %}USER: {% for c in m['content'] %}{% if c['type'] == 'image' %}<image> "
        "{% else %}{{ c['text'] }} {% endif %}{% endfor %}{% endfor %}ASSISTANT:"
    )
    images = CLIPImageProcessor(size={"height": 32, "width": 32}, do_center_crop=False)
    processor = LlavaProcessor(
        images,
        tokenizer,
        patch_size=8,
        vision_feature_select_strategy="default",
        chat_template=template,
        image_token="<image>",
        num_additional_image_tokens=1,
    )
    return saved(processor, folder)


# -- models that make sound --------------------------------------------------------------------


def plain_tokenizer(length: int) -> Any:
    """A token a word; what T5's is for a model that does not care."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    names = ["<pad>", "</s>", "<unk>", *WORDS]
    made = Tokenizer(models.WordLevel({name: number for number, name in enumerate(names)}, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=length
    )


def t5_config() -> Any:
    from transformers import T5Config

    return T5Config(vocab_size=32, d_model=16, d_kv=4, d_ff=24, num_layers=2, num_heads=4)


@pytest.fixture(scope="session")
def tiny_musicgen(tmp_path_factory: pytest.TempPathFactory, torch_ready: None) -> Path:
    """MusicGen at 8 kHz, 125 frames a second, which makes 1.2 s at most."""
    import torch
    from transformers import EncodecConfig, MusicgenConfig, MusicgenDecoderConfig, MusicgenForConditionalGeneration

    folder = tmp_path_factory.mktemp("musicgen")
    torch.manual_seed(0)
    codec = EncodecConfig(
        sampling_rate=8000,
        num_filters=2,
        hidden_size=8,
        num_residual_layers=1,
        upsampling_ratios=[8, 4, 2],
        codebook_size=32,
        codebook_dim=8,
        num_lstm_layers=1,
        target_bandwidths=[5.0],
    )
    decoder = MusicgenDecoderConfig(
        vocab_size=32,
        hidden_size=16,
        ffn_dim=24,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_codebooks=4,
        max_position_embeddings=154,
        pad_token_id=32,
        bos_token_id=32,
    )
    config = MusicgenConfig(
        text_encoder=t5_config().to_dict(), audio_encoder=codec.to_dict(), decoder=decoder.to_dict()
    )
    model = MusicgenForConditionalGeneration(config)
    quantizer: Any = model.audio_encoder.quantizer
    for layer in quantizer.layers:
        layer.codebook.embed.normal_()  # zeros else, and every code would sound the same
    for name, value in {"pad_token_id": 32, "bos_token_id": 32, "decoder_start_token_id": 32}.items():
        setattr(model.generation_config, name, value)
    saved(model, folder)
    return saved(plain_tokenizer(12), folder)


@pytest.fixture(scope="session")
def tiny_stable_audio(tmp_path_factory: pytest.TempPathFactory, torch_ready: None) -> Path:
    """Stable Audio in stereo at 8 kHz, which makes 1.024 s at most."""
    import torch
    from diffusers import (
        AutoencoderOobleck,
        EDMDPMSolverMultistepScheduler,
        StableAudioDiTModel,
        StableAudioPipeline,
        StableAudioProjectionModel,
    )
    from transformers import T5EncoderModel

    torch.manual_seed(0)
    pipeline = StableAudioPipeline(
        transformer=StableAudioDiTModel(
            sample_size=256,
            in_channels=4,
            num_layers=2,
            attention_head_dim=4,
            num_attention_heads=4,
            num_key_value_attention_heads=2,
            out_channels=4,
            cross_attention_dim=8,
            time_proj_dim=8,
            global_states_input_dim=16,
            cross_attention_input_dim=8,
        ),
        scheduler=EDMDPMSolverMultistepScheduler(
            solver_order=2, prediction_type="v_prediction", sigma_data=1.0, sigma_schedule="exponential"
        ),
        vae=AutoencoderOobleck(
            encoder_hidden_size=6,
            downsampling_ratios=[4, 8],
            decoder_channels=4,
            decoder_input_channels=4,
            audio_channels=2,
            channel_multiples=[2, 4],
            sampling_rate=8000,
        ),
        text_encoder=T5EncoderModel(t5_config()),
        tokenizer=plain_tokenizer(12),
        projection_model=StableAudioProjectionModel(text_encoder_dim=16, conditioning_dim=8, min_value=0, max_value=32),
    )
    return saved(pipeline, tmp_path_factory.mktemp("stable-audio"))


# -- models that hear --------------------------------------------------------------------------


@pytest.fixture(scope="session")
def tiny_ast(tmp_path_factory: pytest.TempPathFactory, torch_ready: None) -> Path:
    """An audio spectrogram transformer that hears 1.28 s at once."""
    import torch
    from transformers import ASTConfig, ASTFeatureExtractor, ASTForAudioClassification

    folder = tmp_path_factory.mktemp("ast")
    torch.manual_seed(0)
    config = ASTConfig(
        hidden_size=32,
        intermediate_size=37,
        num_hidden_layers=2,
        num_attention_heads=4,
        patch_size=16,
        max_length=128,
        num_mel_bins=32,
        id2label={0: "Speech", 1: "Music", 2: "Dog", 3: "Bird"},
    )
    saved(ASTForAudioClassification(config), folder)
    return saved(ASTFeatureExtractor(max_length=128, num_mel_bins=32), folder)


LETTERS = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ETAOINSHR"]


@pytest.fixture(scope="session")
def tiny_ctc(tmp_path_factory: pytest.TempPathFactory, torch_ready: None) -> Path:
    """wav2vec 2.0 with random weights and few letters; a letter each 20 ms, as the real one."""
    import json

    import torch
    from transformers import Wav2Vec2Config, Wav2Vec2CTCTokenizer, Wav2Vec2FeatureExtractor, Wav2Vec2ForCTC

    folder = tmp_path_factory.mktemp("ctc")
    torch.manual_seed(0)
    config = Wav2Vec2Config(
        vocab_size=len(LETTERS),
        hidden_size=32,
        intermediate_size=37,
        num_hidden_layers=2,
        num_attention_heads=4,
        conv_dim=(16,) * 7,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=2,
        pad_token_id=0,
    )
    saved(Wav2Vec2ForCTC(config), folder)
    (folder / "vocab.json").write_text(json.dumps({letter: place for place, letter in enumerate(LETTERS)}), "utf-8")
    saved(Wav2Vec2CTCTokenizer(str(folder / "vocab.json"), word_delimiter_token="|"), folder)
    return saved(Wav2Vec2FeatureExtractor(return_attention_mask=False), folder)
