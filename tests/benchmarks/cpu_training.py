"""What a training step on the CPU gains by bf16, `single_depthwise` and `keep_freed_memory`: ratios.

    python tests/benchmarks/cpu_training.py --threads 1

Forward and backward of random pictures; the fastest of five steps counts. On CPUs without bf16
instructions FP32 wins in all cases; then `precision = "fp32"` is the choice.
"""

from __future__ import annotations

import time

import timm
import torch
import typer

from export.allocation import keep_freed_memory
from export.depthwise import single_depthwise

MODELS = "tf_efficientnet_lite0,mobilenetv2_100,convnext_tiny"


def seconds(model: torch.nn.Module, images: torch.Tensor, *, bf16: bool) -> float:
    """The fastest of five steps after a first one."""
    times = []
    for _ in range(6):
        begun = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            out = model(images)
        out.float().square().mean().backward()
        times.append(time.perf_counter() - begun)
    return min(times[1:])


def main(models: str = MODELS, size: int = 160, pictures: int = 92, threads: int = 1) -> None:
    """Prints one line a model and setting, each as a ratio to FP32 with the allocator as it comes."""
    torch.set_num_threads(threads)
    images = torch.rand(pictures, 3, size, size).to(memory_format=torch.channels_last)
    rows: list[tuple[str, str, float]] = []
    for kept in (False, True):
        if kept and not keep_freed_memory():
            print("the allocator is not glibc's, or its user tuned it: not measured with it kept")
            break
        memory = ", freed memory kept" if kept else ""
        for name in models.split(","):
            # batch norms stay as they are in fine-tuning, too
            model = timm.create_model(name, num_classes=0).eval()
            model = model.to(memory_format=torch.channels_last)
            rows.append((name, "FP32" + memory, seconds(model, images, bf16=False)))
            rows.append((name, "bf16" + memory, seconds(model, images, bf16=True)))
            taken = single_depthwise(model)
            what = f"bf16, {taken} depthwise convolutions in FP32{memory}"
            rows.append((name, what, seconds(model, images, bf16=True)))
    for model_name in models.split(","):
        own = [(what, s) for name, what, s in rows if name == model_name]
        for what, spent in own:
            print(f"{model_name}: {what}: {own[0][1] / spent:.2f} x ({spent:.2f} s)")


if __name__ == "__main__":
    typer.run(main)
