"""A step of AdamW for a population whose members have rates of their own: compiled kernel and PyTorch twin."""

import ctypes
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from kws_dendrite.models.kernels.library import load


@dataclass(frozen=True)
class Settings:
    """Attributes: AdamW's betas and epsilon, the same for all members."""

    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8


class AdamWStep:
    """AdamW's state for `parameters`, each (P, ...); weight decay on those that `decayed` says.

    Every member's parameters go as with torch.optim.AdamW at that member's rates, to rounding.
    """

    def __init__(self, parameters: list[Tensor], decayed: list[bool], settings: Settings) -> None:
        self.parameters, self.decayed, self.settings = parameters, decayed, settings
        self.members = parameters[0].shape[0] if parameters else 0
        self.steps = 0
        sizes = [parameter[0].numel() for parameter in parameters]
        like = parameters[0] if parameters else torch.empty(0)
        self.moments = torch.zeros(2 * self.members * sum(sizes), dtype=like.dtype, device=like.device)
        kinds = {(p.dtype, p.device.type, p.is_contiguous(), p.shape[0]) for p in parameters}
        self.compiled = kinds == {(torch.float32, "cpu", True, self.members)} and load() is not None
        count = len(parameters)
        self._sizes = (ctypes.c_int64 * count)(*sizes)
        self._decayed = (ctypes.c_int64 * count)(*map(int, decayed))
        self._addresses, self._pointers = (ctypes.c_void_p * count)(), (ctypes.c_void_p * count)()

    @torch.no_grad()
    def step(self, rates: list[float], decays: list[float]) -> None:
        """One step: learning rate and weight decay of every member."""
        if not self.parameters:
            return
        self.steps += 1
        if self.compiled:
            self._step_compiled(rates, decays)
        else:
            self._step_twin(rates, decays)

    def _step_compiled(self, rates: list[float], decays: list[float]) -> None:
        kept = []  # a gradient made contiguous has to live until the kernel has run
        for i, parameter in enumerate(self.parameters):
            gradient = parameter.grad
            if gradient is not None and not gradient.is_contiguous():
                gradient = gradient.contiguous()
                kept.append(gradient)
            self._addresses[i] = parameter.data_ptr()
            self._pointers[i] = None if gradient is None else gradient.data_ptr()
        doubles, s = ctypes.c_double * self.members, self.settings
        load().adamw(
            self._addresses, self._pointers, self.moments.data_ptr(), self._sizes, self._decayed, doubles(*rates),
            doubles(*decays), len(self.parameters), self.members, self.steps, s.beta1, s.beta2, s.eps, 1,
        )  # fmt: skip

    def _step_twin(self, rates: list[float], decays: list[float]) -> None:
        s, start = self.settings, 0
        first, root = 1 - s.beta1**self.steps, math.sqrt(1 - s.beta2**self.steps)
        values, gradients, means, squares, shrinks, sizes = [], [], [], [], [], []
        for parameter, decays_here in zip(self.parameters, self.decayed, strict=True):
            n, shape = parameter.numel(), (self.members, *(1,) * (parameter.dim() - 1))
            mean = self.moments[start : start + n].view(parameter.shape)
            square = self.moments[start + n : start + 2 * n].view(parameter.shape)
            start += 2 * n
            if parameter.grad is None:
                continue
            like = {"dtype": parameter.dtype, "device": parameter.device}
            shrink = [1 - r * d if decays_here else 1.0 for r, d in zip(rates, decays, strict=True)]
            values.append(parameter)
            gradients.append(parameter.grad)
            means.append(mean)
            squares.append(square)
            shrinks.append(torch.tensor(shrink, **like).view(shape))
            sizes.append(torch.tensor([r / first for r in rates], **like).view(shape))
        if not values:
            return
        torch._foreach_lerp_(means, gradients, 1 - s.beta1)
        torch._foreach_mul_(squares, s.beta2)
        torch._foreach_addcmul_(squares, gradients, gradients, 1 - s.beta2)
        below = torch._foreach_sqrt(squares)
        torch._foreach_div_(below, root)
        torch._foreach_add_(below, s.eps)
        change = torch._foreach_div(means, below)
        torch._foreach_mul_(change, sizes)
        torch._foreach_mul_(values, shrinks)
        torch._foreach_sub_(values, change)
