"""What each layer of a trained model puts out, under the name and in the layout of the plain graph's node.

Export compares these with the graph's own tensors, to name the layer where two artefacts part: a layer's own neurons,
each of its dendrites before the nonlinearity, and the sum (or gate) of both.
"""

import re

import numpy as np
import torch
from torch import Tensor, nn

from kws_dendrite.dendrites.branches import Plateau, PooledBranch, PooledDense, TemporalBn
from kws_dendrite.dendrites.layer import Dendritic
from kws_dendrite.models.layers import Conv2d, ConvBn, Dense, SeparableBn

_UNITS = (ConvBn, SeparableBn, Conv2d, Dense, TemporalBn, Plateau, PooledBranch)


@torch.no_grad()
def layer_outputs(model: nn.Module, x: Tensor, member: int) -> dict[str, np.ndarray]:
    """Node name -> float32 (N, H, W, C) or (N, C) of one member, in evaluation mode, from features (N, T, F)."""
    found: dict[str, np.ndarray] = {}
    hooks = []
    inside: tuple[str, ...] = ()
    for name, module in model.named_modules():
        grown = isinstance(module, Dendritic) and len(module.branches) > 0
        if not grown and (not isinstance(module, _UNITS) or (inside and name.startswith(inside))):
            continue
        if not grown:
            inside += (f"{name}.",)
        # A dendritic layer runs the halves of a separable convolution itself; behind its norm is what it puts out.
        place = module.norm if isinstance(module, SeparableBn) else module
        node = _node_name(model, name, module)

        def keep(_: nn.Module, __: tuple[Tensor], output: Tensor, node: str = node) -> None:
            value = output[member]  # (C, N, H, W) or (C, N)
            found[node] = np.moveaxis(value.numpy(), 0, -1).copy()

        hooks.append(place.register_forward_hook(keep))
    training = model.training
    model.eval()
    try:
        model(x)
    finally:
        model.train(training)
        for hook in hooks:
            hook.remove()
    return found


def _node_name(model: nn.Module, name: str, module: nn.Module) -> str:
    """The name that `fold` gives: a dendritic layer's own neurons keep the layer's name, its dendrites are counted."""
    if isinstance(module, Dense) and isinstance(model.get_submodule(name.rpartition(".")[0]), PooledDense):
        name = name.rpartition(".")[0]
    name = re.sub(r"\.base\b", "", name)
    name = re.sub(r"\.branches\.(\d+)", lambda match: f"_dendrite{int(match[1]) + 1}", name)
    name = name.replace(".", "_")
    if isinstance(module, Dendritic):
        last = module.specs[-1]
        return f"{name}_dendrite{len(module.specs)}_{'gated' if last.join == 'gate' else 'sum'}"
    return f"{name}_pointwise" if isinstance(module, SeparableBn) else name
