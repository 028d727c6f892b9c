"""Milliseconds of one training step of a population, with the compiled kernels and without.

The net is the 1.4 k-parameter shape: 1x1 stem, one depthwise-separable block used twice (dilations 1 and 3) with a
residual, mean-max pool, linear. Five members, 128 clips of 49 frames by 24 bands. The least of several rounds is
shown, so that other work on the machine counts little.

    python benchmarks/population_step.py [--threads 1] [--rounds 8] [--steps 10]
"""

import argparse
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from kws_dendrite.models.kernels import functions
from kws_dendrite.models.kernels.library import load

P, C, B, T, BANDS, KERNEL, CLASSES = 5, 20, 128, 49, 24, 9, 12
DILATIONS = (1, 3)


def make_step(suffix: str) -> Callable[[], float]:
    """One training step as a function; `suffix` "" takes the kernels, "_twin" plain PyTorch."""
    depthwise = getattr(functions, f"depthwise_time{suffix}")
    norm_act = getattr(functions, f"norm_act{suffix}")
    pool = getattr(functions, f"mean_max_pool{suffix}")
    gather = getattr(functions, f"gather_batch{suffix}")

    generator = torch.Generator().manual_seed(0)

    def weight(*shape: int) -> Tensor:
        return (torch.randn(shape, generator=generator) / shape[-1] ** 0.5).requires_grad_()

    stem, point, taps, head = weight(P, C, BANDS), weight(P, C, C), weight(P, C, KERNEL), weight(P, CLASSES, C)
    scales = [torch.ones(P, C, requires_grad=True) for _ in range(3)]
    biases = [torch.zeros(P, C, requires_grad=True) for _ in range(3)]
    running = [(torch.zeros(P, C), torch.ones(P, C)) for _ in range(3)]
    optimizer = torch.optim.AdamW([stem, point, taps, head, *scales, *biases], lr=1e-2, fused=True)
    bank = torch.randn(7, 500, T, BANDS, generator=generator).half()
    labels = torch.randint(CLASSES, (P, B), generator=generator)

    def pointwise(x: Tensor, weight: Tensor) -> Tensor:
        return torch.bmm(weight, x.reshape(P, x.shape[1], -1)).view(P, -1, B, T, 1)

    def norm(i: int, x: Tensor, residual: Tensor | None = None) -> Tensor:
        return norm_act(x, scales[i], biases[i], *running[i], residual, training=True, relu=True)

    def step() -> float:
        copy, clip = torch.randint(7, (P, B), generator=generator), torch.randint(500, (P, B), generator=generator)
        shift = torch.randint(-2, 3, (P, B), generator=generator)
        x = norm(0, pointwise(gather(bank, copy, clip, shift), stem))
        for i, dilation in enumerate(DILATIONS):
            x = norm(i + 1, pointwise(depthwise(x, taps, dilation=dilation), point), x)
        logits = torch.bmm(head, pool(x))  # (P, CLASSES, B)
        loss = F.cross_entropy(logits.transpose(1, 2).reshape(-1, CLASSES), labels.view(-1), label_smoothing=0.05) * P
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--steps", type=int, default=10)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    steps = {"PyTorch": make_step("_twin")}
    if load():
        steps["kernels"] = make_step("")
    best = dict.fromkeys(steps, float("inf"))
    for _ in range(options.rounds):
        for name, step in steps.items():
            step()
            start = time.perf_counter()
            for _ in range(options.steps):
                step()
            best[name] = min(best[name], (time.perf_counter() - start) / options.steps)
    for name, seconds in best.items():
        print(f"{name:8} {seconds * 1e3:6.2f} ms/step")
    if "kernels" not in steps:
        print("kernels  not available: no C compiler, or switched off")


if __name__ == "__main__":
    main()
