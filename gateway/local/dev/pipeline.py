"""diffusers' pipelines: loaded as the options say, and driven one picture at a time.

The one file that imports torch, by name and inside functions: neither the server nor the type checker needs it
installed. Facts that look odd here were seen in diffusers 0.42.
"""

import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from PIL import Image

from gateway.local.dev import memory, placement
from gateway.local.dev.messages import Memory, Order, Pixels
from gateway.local.dev.options import Options
from gateway.local.dev.weights import PUBLISHED, BadWeights, find

OnStep = Callable[[int, int], None]
"""Called with steps done and steps in all; may raise to stop at once."""

WARM_UP_STEPS = 2
T5_TOKENS = 512  # one more is an error, not a cut


class Pipeline:
    def __init__(self, options: Options) -> None:
        """Loads. Raises BadWeights, or what torch and its libraries raise."""
        self._options = options
        _quiet()
        self._torch: Any = import_module("torch")
        self._diffusers: Any = import_module("diffusers")
        if options.threads:
            self._torch.set_num_threads(options.threads)
        self.device = placement.device(options, self._torch)
        self.dtype = placement.dtype(options, self.device, self._torch)
        folder = find(options.weights, options.gguf)
        self.offload = placement.offload(options, self.device, folder.sizes if folder else PUBLISHED, self._torch)
        self._plain: Any = self._loaded()
        self._inpaint: Any = self._diffusers.FluxKontextInpaintPipeline(**self._plain.components)
        self._placed: Any = None
        for pipe in (self._plain, self._inpaint):
            pipe.set_progress_bar_config(disable=True)

    def __repr__(self) -> str:
        return f"Pipeline({self._options.weights}, {self.device}, {self.dtype}, offload={self.offload})"

    def _loaded(self) -> Any:
        options = self._options
        local = {"local_files_only": not options.download, "use_safetensors": True}
        more: dict[str, Any] = {}
        if options.gguf:
            more["transformer"] = self._from_gguf(options.gguf, local)
        if options.quantize:
            more["quantization_config"] = placement.quantization(options.quantize, self.dtype, self._torch)
        dtype = getattr(self._torch, self.dtype)
        pipe = self._diffusers.FluxKontextPipeline.from_pretrained(options.weights, dtype=dtype, **local, **more)
        for number, lora in enumerate(options.lora):
            _add_lora(pipe, lora, f"lora{number}")
        if options.attention:
            pipe.transformer.set_attention_backend(options.attention)
        return pipe

    def _from_gguf(self, file: str, local: dict[str, Any]) -> Any:
        dtype = getattr(self._torch, self.dtype)
        config = self._diffusers.GGUFQuantizationConfig(compute_dtype=dtype)
        return self._diffusers.FluxTransformer2DModel.from_single_file(
            file, quantization_config=config, dtype=dtype, config=self._options.weights, subfolder="transformer",
            local_files_only=local["local_files_only"],
        )  # fmt: skip

    def _placed_on_device(self, pipe: Any) -> Any:
        """Offload hooks sit on the models that both pipelines share, and know one pipeline alone."""
        if self._placed is pipe:
            return pipe
        match self.offload:
            case "model":
                pipe.enable_model_cpu_offload(device=self.device)
            case "sequential":
                pipe.enable_sequential_cpu_offload(device=self.device)
            case _:
                pipe.to(self.device)
        self._placed = pipe
        return pipe

    def edit(self, order: Order, on_step: OnStep) -> tuple[Pixels, ...]:
        """The order's pictures, one after the other: each has its own seed and scheduler, and so they are the same
        whether they are made together or apart."""
        steps = order.steps * order.count
        return tuple(
            self._one(order, number, lambda done, number=number: on_step(number * order.steps + done, steps))
            for number in range(order.count)
        )

    def _one(self, order: Order, number: int, on_step: Callable[[int], None]) -> Pixels:
        pipe = self._placed_on_device(self._plain if order.mask is None else self._inpaint)
        # A scheduler keeps its place: one that a stopped edit left would begin in the middle.
        pipe.scheduler = pipe.scheduler.from_config(pipe.scheduler.config)

        def after(_pipe: object, index: int, _time: object, values: dict[str, Any]) -> dict[str, Any]:
            on_step(index + 1)
            return values

        with self._torch.inference_mode():
            made = pipe(
                prompt=order.prompt,
                negative_prompt=order.negative_prompt,
                true_cfg_scale=order.true_cfg_scale,
                width=order.size[0],
                height=order.size[1],
                max_area=order.size[0] * order.size[1],
                num_inference_steps=order.steps,
                guidance_scale=order.guidance,
                # On the CPU, so that a seed means the same on every device.
                generator=self._torch.Generator("cpu").manual_seed(order.seed_of(number)),
                callback_on_step_end=after,
                max_sequence_length=T5_TOKENS,
                _auto_resize=False,  # the picture comes in the model's size already
                **_pictures(order),
            ).images[0]
        return Pixels(made.size, made.convert("RGB").tobytes())

    def unread(self, order: Order) -> tuple[str, ...]:
        """What the libraries cut off without a word: T5 reads so many tokens. (CLIP reads 77, for the style alone.)"""
        words = {"the prompt": order.prompt, "the negative prompt": order.negative_prompt or ""}
        counts = {name: len(self._plain.tokenizer_2(text).input_ids) for name, text in words.items()}
        return tuple(
            f"the end of {name}: it has {count} tokens, and the model reads {T5_TOKENS}"
            for name, count in counts.items()
            if count > T5_TOKENS
        )

    def warm_up(self) -> float:
        """Seconds of one step at full size, after what only the first edit pays."""
        side = int(self._options.max_pixels**0.5) // 16 * 16
        grey = Pixels((side, side), bytes([128]) * (side * side * 3))
        marks: list[float] = []
        order = Order(
            id="warm-up", prompt="", picture=grey, mask=None, size=grey.size, seed=0, count=1, steps=WARM_UP_STEPS,
            guidance=self._options.guidance, negative_prompt=None, true_cfg_scale=1.0,
        )  # fmt: skip
        self.edit(order, lambda _done, _steps: marks.append(time.monotonic()))
        return marks[-1] - marks[-2]

    def memory(self) -> Memory:
        return memory.measured(self.device, self._torch)

    def forget(self) -> None:
        """After a lack of memory: what the broken edit left in torch's cache, and hooks that it may have left half."""
        self._placed = None if self.offload != "none" else self._placed
        memory.empty(self.device, self._torch)


def _pictures(order: Order) -> dict[str, Any]:
    picture = _image(order.picture, "RGB")
    if order.mask is None:
        return {"image": picture}
    return {"image": picture, "mask_image": _image(order.mask, "L"), "strength": 1.0}


def _image(pixels: Pixels, mode: str) -> Image.Image:
    return Image.frombytes(mode, pixels.size, pixels.data)


def _add_lora(pipe: Any, lora: str, name: str) -> None:
    path = Path(lora).expanduser()
    files = [path] if path.is_file() else sorted(path.glob("*.safetensors"))
    if len(files) != 1 or files[0].suffix != ".safetensors":
        raise BadWeights(f"--lora {lora} must be one .safetensors file, or a folder with exactly one")
    pipe.load_lora_weights(
        str(files[0].parent), weight_name=files[0].name, adapter_name=name, local_files_only=True, use_safetensors=True
    )


def _quiet() -> None:
    """Both libraries log the part of a prompt that they cut off, as a warning."""
    import_module("diffusers.utils.logging").set_verbosity_error()
    import_module("transformers.utils.logging").set_verbosity_error()
    import_module("diffusers.utils.logging").disable_progress_bar()
    import_module("transformers.utils.logging").disable_progress_bar()
