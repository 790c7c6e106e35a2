"""Seconds and memory of an edit by FLUX.1 Kontext [dev] on this machine's card, without its weights.

    python tests/benchmarks/local_gpu.py [--steps 28] [--side 1024] [--rounds 3] [--forms bfloat16,bnb4] [--json]

The real model's classes and configuration with random values: neither speed nor memory depends on what the values are.
Needs an environment with the extra `local`, and `bitsandbytes` for `bnb4`. Without a CUDA card it says so and ends with
0. What is measured is the engine's own pipeline, from raw pixels to raw pixels, warm.
"""

# pyright: reportMissingImports=false, reportUnknownParameterType=false
# Types are checked where torch is not installed.

import argparse
import json
import statistics
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import msgspec

Row = dict[str, str | int | float]


def asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=28)
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--forms", default="bfloat16,bnb4", help="of bfloat16, bnb4, bnb8, torchao-int8")
    parser.add_argument("--tiny", action="store_true", help="a tiny model, on any device: tries this script alone")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def full_size(folder: Path) -> Path:
    """FLUX.1's published shape: 12 billion parameters, T5-XXL, CLIP-L and the autoencoder, in bfloat16 on disk."""
    import torch
    from diffusers import AutoencoderKL, FluxKontextPipeline, FluxTransformer2DModel
    from transformers import CLIPTextConfig, CLIPTextModel, T5Config, T5EncoderModel

    from tests.local_dev import tiny

    torch.set_default_dtype(torch.bfloat16)
    with torch.device("cuda"):  # to fill 17 billion values on a CPU takes minutes
        transformer = FluxTransformer2DModel(guidance_embeds=True)
        text_encoder_2 = T5EncoderModel(
            T5Config(
                vocab_size=32_128,
                d_model=4096,
                d_kv=64,
                d_ff=10_240,
                num_layers=24,
                num_heads=64,
                feed_forward_proj="gated-gelu",
                tie_word_embeddings=False,
                pad_token_id=0,
                eos_token_id=1,
            )
        )
        text_encoder = CLIPTextModel(
            CLIPTextConfig(
                vocab_size=49_408,
                hidden_size=768,
                intermediate_size=3072,
                num_attention_heads=12,
                num_hidden_layers=12,
                projection_dim=768,
                bos_token_id=0,
                eos_token_id=1,
                pad_token_id=1,
            )
        )
        vae = AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
            block_out_channels=(128, 256, 512, 512), layers_per_block=2, latent_channels=16, norm_num_groups=32,
            use_quant_conv=False, use_post_quant_conv=False, shift_factor=0.1159, scaling_factor=0.3611,
        )  # fmt: skip
    torch.set_default_dtype(torch.float32)
    FluxKontextPipeline(
        scheduler=tiny.scheduler(), vae=vae, text_encoder=text_encoder, tokenizer=tiny.clip_tokenizer(),
        text_encoder_2=text_encoder_2, tokenizer_2=tiny.t5_tokenizer(), transformer=transformer,
        image_encoder=None, feature_extractor=None,
    ).save_pretrained(folder)  # fmt: skip
    del transformer, text_encoder, text_encoder_2, vae
    torch.cuda.empty_cache()
    return folder


def row(folder: Path, form: str, args: argparse.Namespace) -> Row:
    from gateway.local.dev.messages import Order, Pixels
    from gateway.local.dev.options import Options
    from gateway.local.dev.pipeline import Pipeline

    said = {"weights": str(folder), "dtype": "bfloat16", "quantize": None if form == "bfloat16" else form}
    options = msgspec.convert(said, Options)
    began = time.monotonic()
    pipeline = Pipeline(options)
    loaded = time.monotonic()
    size = (args.side, args.side)
    grey = Pixels(size, bytes([128]) * (args.side * args.side * 3))
    order = Order(
        id="benchmark", prompt="Make the mug blue", picture=grey, mask=None, size=size, seed=0, count=1,
        steps=args.steps, guidance=2.5, negative_prompt=None, true_cfg_scale=1.0,
    )  # fmt: skip
    pipeline.edit(order, lambda _done, _steps: None)
    seconds: list[float] = []
    for _ in range(args.rounds):
        start = time.monotonic()
        pipeline.edit(order, lambda _done, _steps: None)
        seconds.append(time.monotonic() - start)
    memory = pipeline.memory()
    return {
        "device": memory.device, "form": form, "offload": pipeline.offload, "steps": args.steps, "side": args.side,
        "load_s": round(loaded - began, 1), "edit_s": round(statistics.median(seconds), 3),
        "peak_gb": round(memory.peak / 1e9, 2),
    }  # fmt: skip


def main() -> int:
    args = asked()
    if find_spec("torch") is None:
        print("torch is not installed here: pip install 'kontext-gateway[local]'", file=sys.stderr)
        return 2
    import torch

    if not args.tiny and not torch.cuda.is_available():
        print("no CUDA card here: nothing was measured")
        return 0
    with tempfile.TemporaryDirectory() as made:
        from tests.local_dev import tiny

        folder = tiny.build(Path(made)) if args.tiny else full_size(Path(made))
        for form in args.forms.split(","):
            one = row(folder, form, args)
            print(json.dumps(one) if args.json else "  ".join(f"{name} {value}" for name, value in one.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
