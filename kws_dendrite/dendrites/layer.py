"""A layer and the dendrites of its neurons: z' = z + sum_j t_j * a_j, a_j = f(G_j(x) + sum_{e<j} c_je * a_e).

G_j is a copy of the layer in structure with weights of its own, t_j and c_je one scalar a neuron. The layer stands
behind its BatchNorm and before its nonlinearity, and its output's leading axes number the neurons: (P, C) here.
"""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kws_dendrite.dendrites.config import DendriteActivation

NEURON_AXES = 2  # (P, C, ...)


def activate(u: Tensor, kind: DendriteActivation) -> Tensor:
    """The dendrite's nonlinearity, elementwise."""
    if kind == "relu":
        return F.relu(u)
    if kind == "tanh":
        return torch.tanh(u)
    if kind == "sigmoid":
        return torch.sigmoid(u)
    return F.hardtanh(u)


class Dendritic(nn.Module):
    """`base` with D dendrites a neuron, D = 0 at first: whatever `base` maps, (P, C, ...) out.

    A frozen dendrite ("perforated") is evaluated outside autograd: no gradient reaches its weights, nor passes
    through it to the layers before; its t still learns, as a weight of the neuron.
    """

    def __init__(self, base: nn.Module, activation: DendriteActivation = "relu", *, cascade: bool = False) -> None:
        super().__init__()
        self.base = base
        self.activation: DendriteActivation = activation
        self.with_cascade = cascade
        self.branches = nn.ModuleList()
        self.t = nn.ParameterList()  # D of (P, C)
        self.cascade = nn.ParameterList()  # D of (P, C, j): from the earlier dendrites to the j-th
        self.frozen: list[bool] = []

    def forward(self, x: Tensor) -> Tensor:
        z = self.base(x)
        earlier: list[Tensor] = []
        for j in range(len(self.branches)):
            a = self._dendrite(j, x, earlier)
            earlier.append(a)
            z = z + per_neuron(self.t[j], a) * a
        return z

    def dendrites(self, x: Tensor) -> list[Tensor]:
        """a_1 .. a_D, each of the layer's output shape."""
        earlier: list[Tensor] = []
        for j in range(len(self.branches)):
            earlier.append(self._dendrite(j, x, earlier))
        return earlier

    def _dendrite(self, j: int, x: Tensor, earlier: list[Tensor]) -> Tensor:
        if self.frozen[j]:
            with torch.no_grad():
                return self.activate_branch(self.branches[j], self.cascade[j], x, earlier)
        return self.activate_branch(self.branches[j], self.cascade[j], x, earlier)

    def activate_branch(self, branch: nn.Module, cascade: Tensor, x: Tensor, earlier: list[Tensor]) -> Tensor:
        """f(G(x) + sum_e c_e * a_e) for a branch that need not be a part of this layer yet."""
        u = branch(x)
        if self.with_cascade:
            for e, a in enumerate(earlier):
                u = u + per_neuron(cascade[:, :, e], a) * a
        return activate(u, self.activation)

    def add(self, branch: nn.Module, cascade: Tensor, *, frozen: bool) -> None:
        """Take `branch` as the next dendrite of every neuron, with t = 0: the layer's function stays the same.

        `cascade` is (P, C, D) for the D dendrites that are there already.
        """
        # Beside the base's weights it has to follow their device and type.
        like = next(self.base.parameters())
        self.branches.append(branch)
        self.t.append(nn.Parameter(torch.zeros(cascade.shape[:2], device=like.device, dtype=like.dtype)))
        self.cascade.append(nn.Parameter(cascade.detach().clone(), requires_grad=not frozen))
        self.frozen.append(frozen)
        if frozen:
            branch.requires_grad_(False)
            branch.eval()

    def train(self, mode: bool = True) -> "Dendritic":
        """A frozen dendrite keeps its BatchNorm's statistics, whatever the mode."""
        super().train(mode)
        for branch, frozen in zip(self.branches, self.frozen, strict=True):
            if frozen:
                branch.eval()
        return self


def per_neuron(value: Tensor, like: Tensor) -> Tensor:
    """(P, C) -> (P, C, 1, ...), to scale `like` neuron by neuron."""
    return value.reshape(*value.shape, *(1,) * (like.dim() - NEURON_AXES))


def fresh_branch(base: nn.Module, x: Tensor, generator: torch.Generator) -> nn.Module:
    """A copy of `base` in structure, weights drawn anew at its scale, outputs of mean 0 and deviation 1 on `x`.

    The calibration is data-dependent initialisation (Mishkin & Matas 2016): a dendrite that starts saturated or
    constant has no gradient to learn from.
    """
    branch = copy.deepcopy(base).requires_grad_(True)
    with torch.no_grad():
        for module in branch.modules():
            is_norm = hasattr(module, "running_mean")
            for name, parameter in module.named_parameters(recurse=False):
                if is_norm:
                    parameter.fill_(1.0 if name == "weight" else 0.0)
                elif name == "bias":
                    parameter.zero_()
                else:
                    noise = torch.randn(parameter.shape, generator=generator).to(parameter)
                    parameter.copy_(noise * parameter.std())
    calibrate(branch, x)
    return branch


@torch.no_grad()
def calibrate(branch: nn.Module, x: Tensor) -> None:
    """Set BatchNorm's statistics from `x`, or scale weight and bias, so that each neuron has mean 0, deviation 1."""
    norms = [module for module in branch.modules() if hasattr(module, "running_mean")]
    if norms:
        momenta = [norm.momentum for norm in norms]
        branch.train()
        for norm in norms:
            norm.momentum = 1.0
        branch(x)
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        branch.eval()
        return
    u = branch(x).flatten(NEURON_AXES)  # (P, C, samples)
    std, mean = torch.std_mean(u, dim=-1)
    std = std.clamp_min(1e-6)
    branch.weight.div_(per_neuron(std, branch.weight))
    if branch.bias is not None:
        branch.bias.sub_(mean).div_(std)


