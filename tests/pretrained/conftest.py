"""Tiny models of the real classes, built from their configurations, saved, and loaded by the real code path."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny models are slower on two threads than on one, and on a busy machine a hundred times slower."""
    from hopline.tools.home import limits

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOPLINE_THREADS", "1")
        limits.cache_clear()
        yield
    limits.cache_clear()


@pytest.fixture(scope="session")
def torch_ready() -> None:
    """Few threads, quiet libraries."""
    from hopline.tools.pretrained import prepare_torch

    prepare_torch()


@pytest.fixture(scope="session")
def new(tmp_path_factory: pytest.TempPathFactory, torch_ready: None) -> Callable[[str], Path]:
    """Makes a folder for a model, whose weights will be the same each time."""

    def made(name: str) -> Path:
        import torch

        torch.manual_seed(0)
        return tmp_path_factory.mktemp(name)

    return made


def saved(model: Any, folder: Path) -> Path:
    model.save_pretrained(folder, safe_serialization=True)
    return folder


SMALL: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 37, "num_hidden_layers": 2, "num_attention_heads": 4}
SEEING = SMALL | {"image_size": 32, "patch_size": 8}
WORDS = (
    "a the red blue green cat cats dog dogs boat house tree sits on two three what colour is in how many one yes no of "
    "and"
).split()


def letters(*special: str) -> dict[str, int]:
    """A vocabulary of the 256 byte symbols alone: a token a letter."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    return {name: number for number, name in enumerate([*special, *bytes_to_unicode().values()])}


def t5_tokenizer(length: int) -> Any:
    """T5's own kind, with a vocabulary of a few words."""
    from transformers import T5Tokenizer

    names = ["<pad>", "</s>", "<unk>", "▁", *(f"▁{word}" for word in WORDS)]
    return T5Tokenizer(vocab=[(name, 0.0) for name in names], extra_ids=0, model_max_length=length)


def t5_encoder() -> Any:
    from transformers import T5EncoderModel

    return T5EncoderModel(t5_config())


def t5_config() -> Any:
    from transformers import T5Config

    return T5Config(vocab_size=32, d_model=16, d_kv=4, d_ff=24, num_layers=2, num_heads=4)


# -- models that draw --------------------------------------------------------------------------


def clip_tokenizer() -> Any:
    """CLIP's own kind, a token a letter."""
    from transformers import CLIPTokenizer

    symbols = list(letters())
    names = [*symbols, *(symbol + "</w>" for symbol in symbols), "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(vocab={name: number for number, name in enumerate(names)}, merges=[], model_max_length=77)


def clip_encoder(kind: str = "CLIPTextModel") -> Any:
    import transformers

    config = transformers.CLIPTextConfig(
        **SMALL, vocab_size=514, bos_token_id=512, eos_token_id=513, pad_token_id=513, projection_dim=32
    )
    return getattr(transformers, kind)(config)


def autoencoder(channels: int = 3, widths: tuple[int, ...] = (8, 16, 16, 16), **more: Any) -> Any:
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        in_channels=channels,
        out_channels=channels,
        block_out_channels=widths,
        down_block_types=("DownEncoderBlock2D",) * len(widths),
        up_block_types=("UpDecoderBlock2D",) * len(widths),
        norm_num_groups=8,
        latent_channels=4,
        **more,
    )


UNET: dict[str, Any] = {
    "block_out_channels": (32, 64),
    "layers_per_block": 1,
    "sample_size": 8,
    "in_channels": 4,
    "out_channels": 4,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
}


def ddim() -> Any:
    from diffusers import DDIMScheduler

    return DDIMScheduler(clip_sample=False, set_alpha_to_one=False, steps_offset=1)


@pytest.fixture(scope="session")
def tiny_diffusion(new: Callable[[str], Path]) -> Path:
    """A Stable Diffusion pipeline with random weights."""
    from diffusers import StableDiffusionPipeline, UNet2DConditionModel

    folder = new("diffusion")
    pipeline = StableDiffusionPipeline(
        unet=UNet2DConditionModel(**UNET, cross_attention_dim=32, attention_head_dim=8),
        vae=autoencoder(),
        text_encoder=clip_encoder(),
        tokenizer=clip_tokenizer(),
        scheduler=ddim(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    return saved(pipeline, folder)


@pytest.fixture(scope="session")
def tiny_sdxl(new: Callable[[str], Path]) -> Path:
    """SDXL, which reads with two encoders side by side."""
    from diffusers import StableDiffusionXLPipeline, UNet2DConditionModel

    folder = new("sdxl")
    pipeline = StableDiffusionXLPipeline(
        unet=UNet2DConditionModel(
            **UNET,
            cross_attention_dim=64,
            attention_head_dim=(2, 4),
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=6 * 8 + 32,
        ),
        vae=autoencoder(),
        text_encoder=clip_encoder(),
        text_encoder_2=clip_encoder("CLIPTextModelWithProjection"),
        tokenizer=clip_tokenizer(),
        tokenizer_2=clip_tokenizer(),
        scheduler=ddim(),
        add_watermarker=False,
    )
    return saved(pipeline, folder)


@pytest.fixture(scope="session")
def tiny_flux(new: Callable[[str], Path]) -> Path:
    """FLUX.1-schnell, known by its name: T5 reads 256 tokens, CLIP gives the gist of 77."""
    from diffusers import FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel

    folder = new("flux") / "FLUX.1-schnell"
    pipeline = FluxPipeline(
        transformer=FluxTransformer2DModel(
            in_channels=16,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=16,
            pooled_projection_dim=32,
            axes_dims_rope=(4, 4, 8),
        ),
        vae=autoencoder(use_quant_conv=False, use_post_quant_conv=False, shift_factor=0.1, scaling_factor=0.4),
        text_encoder=clip_encoder(),
        text_encoder_2=t5_encoder(),
        tokenizer=clip_tokenizer(),
        tokenizer_2=t5_tokenizer(512),
        scheduler=FlowMatchEulerDiscreteScheduler(),
    )
    return saved(pipeline, folder)


# -- models that look at pictures --------------------------------------------------------------

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
BERT: dict[str, Any] = SMALL | {
    "vocab_size": len(SPECIAL) + len(WORDS),
    "bos_token_id": 2,
    "eos_token_id": 3,
    "pad_token_id": 0,
}


def word_tokenizer(length: int = 512) -> Any:
    """BERT's own kind, with a vocabulary of a few words."""
    from transformers import BertTokenizer

    vocabulary = {word: number for number, word in enumerate([*SPECIAL, *WORDS])}
    return BertTokenizer(vocab=vocabulary, model_max_length=length)


def square_images() -> Any:
    from transformers import BlipImageProcessor

    return BlipImageProcessor(size={"height": 32, "width": 32})


def blip(kind: str, folder: Path) -> Path:
    import transformers

    text = BERT | {"encoder_hidden_size": 32, "max_position_embeddings": 64, "sep_token_id": 3, "projection_dim": 32}
    config = transformers.BlipConfig(text_config=text, vision_config=SEEING, projection_dim=32, architectures=[kind])
    saved(getattr(transformers, kind)(config), folder)
    return saved(transformers.BlipProcessor(square_images(), word_tokenizer()), folder)


@pytest.fixture(scope="session")
def tiny_blip(new: Callable[[str], Path]) -> Path:
    return blip("BlipForConditionalGeneration", new("blip"))


@pytest.fixture(scope="session")
def tiny_blip_vqa(new: Callable[[str], Path]) -> Path:
    return blip("BlipForQuestionAnswering", new("blip-vqa"))


@pytest.fixture(scope="session")
def tiny_blip2(new: Callable[[str], Path]) -> Path:
    """BLIP-2 with OPT, whose texts begin with the token that ends those of its tokenizer."""
    from transformers import Blip2Config, Blip2ForConditionalGeneration, Blip2Processor, GPT2Tokenizer

    folder = new("blip2")
    tokenizer: Any = GPT2Tokenizer(
        vocab=letters("<s>", "<pad>", "</s>"),
        merges=[],
        bos_token="</s>",
        eos_token="</s>",
        unk_token="</s>",
        pad_token="<pad>",
    )
    saved(Blip2Processor(square_images(), tokenizer, num_query_tokens=4), folder)
    text = {
        "model_type": "opt",
        "vocab_size": len(tokenizer),
        "ffn_dim": 37,
        "word_embed_proj_dim": 32,
        "max_position_embeddings": 256,
        "bos_token_id": 2,
        "eos_token_id": tokenizer.convert_tokens_to_ids("Ċ"),
        "pad_token_id": 1,
    }
    config = Blip2Config(
        vision_config=SEEING,
        qformer_config=SMALL | {"vocab_size": 32},
        text_config=SMALL | text,
        num_query_tokens=4,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )
    return saved(Blip2ForConditionalGeneration(config), folder)


@pytest.fixture(scope="session")
def tiny_vilt(new: Callable[[str], Path]) -> Path:
    from transformers import ViltConfig, ViltForQuestionAnswering, ViltImageProcessor, ViltProcessor

    folder = new("vilt")
    config = ViltConfig(
        **SMALL,
        vocab_size=BERT["vocab_size"],
        image_size=64,
        patch_size=16,
        max_position_embeddings=12,
        id2label={0: "yes", 1: "no", 2: "red", 3: "blue", 4: "two", 5: "three"},
    )
    saved(ViltForQuestionAnswering(config), folder)
    images: Any = ViltImageProcessor(size={"shortest_edge": 64})
    images.size_divisor = 32
    return saved(ViltProcessor(images, word_tokenizer(12)), folder)


@pytest.fixture(scope="session")
def tiny_git(new: Callable[[str], Path]) -> Path:
    """It sees a square from the middle of a picture."""
    from transformers import CLIPImageProcessor, GitConfig, GitForCausalLM, GitProcessor

    folder = new("git")
    saved(GitForCausalLM(GitConfig(**BERT, vision_config=SEEING, max_position_embeddings=96)), folder)
    images = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    return saved(GitProcessor(images, word_tokenizer()), folder)


@pytest.fixture(scope="session")
def tiny_llava(new: Callable[[str], Path]) -> Path:
    """A model that chats, asked through its template."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import (
        CLIPImageProcessor,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
        PreTrainedTokenizerFast,
    )

    folder = new("llava")
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
    config = LlavaConfig(
        vision_config=SEEING | {"model_type": "clip_vision_model"},
        text_config=BERT | {"model_type": "llama", "vocab_size": len(names), "num_key_value_heads": 4},
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


@pytest.fixture(scope="session")
def tiny_musicgen(new: Callable[[str], Path]) -> Path:
    """MusicGen at 8 kHz, 125 frames a second, which makes 1.2 s at most."""
    from transformers import EncodecConfig, MusicgenConfig, MusicgenDecoderConfig, MusicgenForConditionalGeneration

    folder = new("musicgen")
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
    return saved(t5_tokenizer(12), folder)


@pytest.fixture(scope="session")
def tiny_stable_audio(new: Callable[[str], Path]) -> Path:
    """Stable Audio in stereo at 8 kHz, which makes 1.024 s at most."""
    from diffusers import (
        AutoencoderOobleck,
        EDMDPMSolverMultistepScheduler,
        StableAudioDiTModel,
        StableAudioPipeline,
        StableAudioProjectionModel,
    )

    folder = new("stable-audio")
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
        text_encoder=t5_encoder(),
        tokenizer=t5_tokenizer(12),
        projection_model=StableAudioProjectionModel(text_encoder_dim=16, conditioning_dim=8, min_value=0, max_value=32),
    )
    return saved(pipeline, folder)


@pytest.fixture(scope="session")
def tiny_audioldm2(new: Callable[[str], Path]) -> Path:
    """AudioLDM 2 at 8 kHz as it was published, before transformers 4.50."""
    import json

    from diffusers import AudioLDM2Pipeline, AudioLDM2ProjectionModel, AudioLDM2UNet2DConditionModel
    from transformers import (
        ClapConfig,
        ClapFeatureExtractor,
        ClapModel,
        GPT2Config,
        GPT2Model,
        RobertaTokenizer,
        SpeechT5HifiGan,
        SpeechT5HifiGanConfig,
    )

    folder = new("audioldm2")
    tokenizer = RobertaTokenizer(
        vocab=letters("<s>", "<pad>", "</s>", "<unk>", "<mask>"), merges=[], model_max_length=60
    )
    hearing = {"hidden_size": 64, "patch_embeds_hidden_size": 32, "depths": [1, 1], "num_attention_heads": [2, 2]}
    pipeline = AudioLDM2Pipeline(
        unet=AudioLDM2UNet2DConditionModel(**UNET, cross_attention_dim=([None, 16, 16], [None, 16, 16])),
        vae=autoencoder(channels=1, widths=(8, 16)),
        text_encoder=ClapModel(
            ClapConfig(
                text_config=SMALL | {"vocab_size": len(tokenizer), "projection_dim": 16},
                audio_config=hearing | {"spec_size": 64, "num_hidden_layers": 2, "projection_dim": 16},
                projection_dim=16,
            )
        ),
        text_encoder_2=t5_encoder(),
        projection_model=AudioLDM2ProjectionModel(text_encoder_dim=16, text_encoder_1_dim=16, langauge_model_dim=16),
        language_model=GPT2Model(GPT2Config(n_embd=16, n_head=2, n_layer=2, vocab_size=32, n_positions=99)),
        tokenizer=tokenizer,
        tokenizer_2=t5_tokenizer(12),
        feature_extractor=ClapFeatureExtractor(),
        scheduler=ddim(),
        vocoder=SpeechT5HifiGan(
            SpeechT5HifiGanConfig(
                model_in_dim=8,
                sampling_rate=8000,
                upsample_initial_channel=16,
                upsample_rates=[4, 4],
                upsample_kernel_sizes=[8, 8],
                resblock_kernel_sizes=[3],
                resblock_dilation_sizes=[[1, 3]],
                normalize_before=False,
                initializer_range=0.2,  # of 0.01 there would be silence
            )
        ),
    )
    saved(pipeline, folder)
    published = folder / "language_model" / "config.json"
    published.write_text(json.dumps(json.loads(published.read_text("utf-8")) | {"max_new_tokens": 8}), "utf-8")
    return folder


# -- models that hear --------------------------------------------------------------------------


@pytest.fixture(scope="session")
def tiny_ast(new: Callable[[str], Path]) -> Path:
    """An audio spectrogram transformer that hears 1.28 s at once."""
    from transformers import ASTConfig, ASTFeatureExtractor, ASTForAudioClassification

    folder = new("ast")
    config = ASTConfig(
        **SMALL,
        patch_size=16,
        max_length=128,
        num_mel_bins=32,
        id2label={0: "Speech", 1: "Music", 2: "Dog", 3: "Bird"},
    )
    saved(ASTForAudioClassification(config), folder)
    return saved(ASTFeatureExtractor(max_length=128, num_mel_bins=32), folder)


LETTERS = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ETAOINSHR"]


@pytest.fixture(scope="session")
def tiny_ctc(new: Callable[[str], Path]) -> Path:
    """wav2vec 2.0 with random weights and few letters; a letter each 20 ms, as the real one."""
    import json

    from transformers import Wav2Vec2Config, Wav2Vec2CTCTokenizer, Wav2Vec2FeatureExtractor, Wav2Vec2ForCTC

    folder = new("ctc")
    config = Wav2Vec2Config(
        vocab_size=len(LETTERS),
        **SMALL,
        conv_dim=(16,) * 7,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=2,
        pad_token_id=0,
    )
    saved(Wav2Vec2ForCTC(config), folder)
    (folder / "vocab.json").write_text(json.dumps({letter: place for place, letter in enumerate(LETTERS)}), "utf-8")
    saved(Wav2Vec2CTCTokenizer(str(folder / "vocab.json"), word_delimiter_token="|"), folder)
    return saved(Wav2Vec2FeatureExtractor(return_attention_mask=False), folder)
