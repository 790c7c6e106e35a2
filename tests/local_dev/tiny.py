"""FLUX.1 Kontext with random weights and a few thousand of them: the real classes and the real scale factors, built in
a second with nothing downloaded. It cannot make a good picture; it can show that everything sent reaches the pixels."""

# pyright: reportMissingImports=false, reportUnknownParameterType=false
# Types are checked where torch is not installed.

from pathlib import Path

import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, FluxKontextPipeline, FluxTransformer2DModel
from tokenizers.pre_tokenizers import ByteLevel
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTokenizer,
    T5Config,
    T5EncoderModel,
    T5TokenizerFast,
)


def build(folder: Path) -> Path:
    """The folder, with a saved pipeline in it; the same bytes each time."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    pipeline = FluxKontextPipeline(
        scheduler=scheduler(),
        vae=vae(),
        text_encoder=CLIPTextModel(
            CLIPTextConfig(
                vocab_size=514, hidden_size=32, intermediate_size=37, num_attention_heads=4, num_hidden_layers=2,
                projection_dim=32, max_position_embeddings=77, bos_token_id=0, eos_token_id=1, pad_token_id=1,
            )
        ),
        tokenizer=clip_tokenizer(),
        text_encoder_2=T5EncoderModel(
            T5Config(
                vocab_size=98, d_model=32, d_kv=8, d_ff=37, num_layers=2, num_heads=4, pad_token_id=0, eos_token_id=1
            )
        ),
        tokenizer_2=t5_tokenizer(),
        transformer=FluxTransformer2DModel(
            patch_size=1, in_channels=16, num_layers=1, num_single_layers=1, attention_head_dim=16,
            num_attention_heads=2, joint_attention_dim=32, pooled_projection_dim=32, axes_dims_rope=(4, 4, 8),
            guidance_embeds=True,
        ),
        image_encoder=None,
        feature_extractor=None,
    )  # fmt: skip
    pipeline.save_pretrained(folder)
    return folder


def scheduler() -> FlowMatchEulerDiscreteScheduler:
    """With the real model's settings."""
    return FlowMatchEulerDiscreteScheduler(
        shift=3.0, use_dynamic_shifting=True, base_shift=0.5, max_shift=1.15, base_image_seq_len=256,
        max_image_seq_len=4096,
    )  # fmt: skip


def vae() -> AutoencoderKL:
    """Four blocks, and so the real model's scale factor of eight."""
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(4, 4, 4, 4), layers_per_block=1, latent_channels=4, norm_num_groups=1,
        use_quant_conv=False, use_post_quant_conv=False, shift_factor=0.1159, scaling_factor=0.3611,
    )  # fmt: skip


def clip_tokenizer() -> CLIPTokenizer:
    """Byte by byte, so that any prompt has tokens."""
    letters = sorted(ByteLevel.alphabet())
    words = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{letter}</w>" for letter in letters)]
    return CLIPTokenizer(vocab={word: number for number, word in enumerate(words)}, merges=[], model_max_length=77)


def t5_tokenizer() -> T5TokenizerFast:
    pieces = ["<pad>", "</s>", "<unk>", "▁", *(chr(code) for code in range(33, 127))]
    return T5TokenizerFast(
        vocab=[(piece, 0.0 if number < 3 else -1.0) for number, piece in enumerate(pieces)],
        extra_ids=0,
        model_max_length=512,
    )


if __name__ == "__main__":
    import sys

    build(Path(sys.argv[1]))
