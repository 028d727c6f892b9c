"""Operations of a population net on the CPU: compiled kernels where the library loads, PyTorch twins everywhere else.

Each public function picks for itself: the kernel for float32 tensors on the CPU, its twin (`*_twin`) otherwise. Both
give the same values and gradients to rounding. Feature maps are (P, C, B, T, 1) as in layers.py, contiguous; a row is
one channel of one member. The kernels have no second derivatives.
"""

import ctypes
import functools
import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from kws_dendrite.models.kernels.library import load
from kws_dendrite.plain import same_padding

FLOATS_A_THREAD = 250_000  # some 50 us of the cheapest kernel, twice what starting a thread costs


def depthwise_time(x: Tensor, weight: Tensor, *, stride: int = 1, dilation: int = 1) -> Tensor:
    """Depthwise convolution over time, "same" as TensorFlow has it: (P, C, B, T, 1) -> (P, C, B, T', 1).

    T' = ceil(T / stride); `weight` is (P, C, k), k of any parity.
    """
    if not _compiled(x, weight):
        return depthwise_time_twin(x, weight, stride=stride, dilation=dilation)
    return _DepthwiseTime.apply(x, weight, stride, dilation)


def depthwise_time_twin(x: Tensor, weight: Tensor, *, stride: int = 1, dilation: int = 1) -> Tensor:
    """The same in PyTorch, as a matrix product with a banded T x T' matrix for each channel.

    That is T / k times the multiplications, but a dense product runs many times faster on a CPU than the grouped
    convolution and its backward pass, and dilation and stride cost nothing.
    """
    P, C, B, T, _ = x.shape
    index, inside = _band(T, weight.shape[2], stride, dilation, weight.device, weight.dtype)
    taps = weight.reshape(P * C, -1).index_select(1, index.view(-1)).view(P * C, *index.shape)
    return torch.bmm(x.reshape(P * C, B, T), taps * inside).view(P, C, B, -1, 1)  # band: (P*C, T, T')


def norm_act(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    residual: Tensor | None = None,
    *,
    training: bool,
    relu: bool,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """BatchNorm, then ReLU if `relu`, then `residual` added if given: (P, C, ...) -> the same.

    y = residual + relu(bn(x)). `weight`, `bias` and the running statistics are (P, C); in training the statistics of
    x are used, and the running ones updated in place, as torch.nn.BatchNorm does (unbiased variance).

    Raises:
        ValueError: training with one value a channel, as torch raises it.
    """
    statistics = (running_mean, running_var)
    others = (weight, bias, *statistics) if residual is None else (weight, bias, *statistics, residual)
    if (
        not _compiled(x, *others)
        or (training and x[0, 0].numel() <= 1)
        or (residual is not None and residual.shape != x.shape)
        or not all(s.is_contiguous() for s in statistics)  # written in place
    ):
        return norm_act_twin(
            x, weight, bias, *statistics, residual, training=training, relu=relu, momentum=momentum, eps=eps
        )
    return _NormAct.apply(x, weight, bias, running_mean, running_var, residual, training, relu, momentum, eps)


def norm_act_twin(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    residual: Tensor | None = None,
    *,
    training: bool,
    relu: bool,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """The same in PyTorch."""
    P, C = x.shape[:2]
    y = F.batch_norm(
        x.reshape(1, P * C, -1),
        running_mean.view(-1),
        running_var.view(-1),
        weight.reshape(-1),
        bias.reshape(-1),
        training,
        momentum,
        eps,
    ).view(x.shape)
    if relu:
        y = F.relu(y)
    return y if residual is None else residual + y


def mean_max_pool(x: Tensor) -> Tensor:
    """Half the mean plus half the maximum over time: (P, C, B, T, 1) -> (P, C, B).

    Of equal maxima the first takes the gradient (the twin shares it between them).
    """
    return _MeanMaxPool.apply(x) if _compiled(x) else mean_max_pool_twin(x)


def mean_max_pool_twin(x: Tensor) -> Tensor:
    """The same in PyTorch."""
    rows = x.flatten(3)
    return 0.5 * (rows.mean(3) + rows.amax(3))


def window_max(x: Tensor, taps: int) -> Tensor:
    """The largest of `taps` frames about each frame, those outside not counted: (P, C, B, T, 1) -> the same.

    Of equal maxima the first takes the gradient (the twin shares it between them).
    """
    return _WindowMax.apply(x, taps) if _compiled(x) else window_max_twin(x, taps)


def window_max_twin(x: Tensor, taps: int) -> Tensor:
    """The same in PyTorch: maxima of 1, 2, 4, ... neighbours, log2 of the taps in passes."""
    before, after = same_padding(x.shape[3], taps)
    y = F.pad(x, (0, 0, before, after), value=-math.inf)
    reach = 1
    while reach < taps:
        step = min(reach, taps - reach)
        y = torch.maximum(y[:, :, :, :-step], y[:, :, :, step:])
        reach += step
    return y


def plateau(z: Tensor, t: Tensor, taps: int, residual: Tensor | None = None) -> Tensor:
    """residual + relu(z + t * relu(m)), m the `window_max` of z: (P, C, B, T, 1) -> the same; `t` is (P, C).

    A neuron with a plateau dendrite and its ReLU, in one pass over memory for the seven that it takes in parts.
    """
    others = (t,) if residual is None else (t, residual)
    if not _compiled(z, *others) or (residual is not None and residual.shape != z.shape):
        return plateau_twin(z, t, taps, residual)
    return _Plateau.apply(z, t, residual, taps)


def plateau_twin(z: Tensor, t: Tensor, taps: int, residual: Tensor | None = None) -> Tensor:
    """The same in PyTorch."""
    y = F.relu(z + t.view(*t.shape, 1, 1, 1) * F.relu(window_max_twin(z, taps)))
    return y if residual is None else residual + y


def gather_batch(bank: Tensor, copy: Tensor, clip: Tensor, shift: Tensor) -> Tensor:
    """A batch of stored features, in the layout of the layers: (A, N, T, F) -> (P, F, B, T, 1) float32.

    `copy`, `clip` and `shift` are int64 (P, B): which of the A versions of which of the N clips each member sees, and
    by how many frames it is delayed (positive: later). The edge frame is repeated. `bank` is float16 or float32. No
    gradient.

    Raises:
        IndexError: a copy or a clip outside the bank.
    """
    with torch.no_grad():
        kinds = (torch.float16, torch.float32)
        integers = all(i.dtype == torch.int64 and i.device.type == "cpu" for i in (copy, clip, shift))
        if not (bank.device.type == "cpu" and bank.dtype in kinds and bank.is_contiguous() and integers and load()):
            return gather_batch_twin(bank, copy, clip, shift)
        A, N, T, F_ = bank.shape
        P, B = copy.shape
        assert clip.shape == shift.shape == (P, B), "copy, clip and shift are all (P, B)"
        out = torch.empty(P, F_, B, T, 1)
        if not out.numel():
            return out
        for name, index, size in (("copy", copy, A), ("clip", clip, N)):
            low, high = (int(bound) for bound in torch.aminmax(index))
            if low < 0 or high >= size:
                raise IndexError(f"{name} should lie in 0..{size - 1}; got {low}..{high}")
        copy, clip, shift = copy.contiguous(), clip.contiguous(), shift.contiguous()
        half = int(bank.dtype == torch.float16)
        _call("gather_batch", out, bank, copy, clip, shift, N, T, F_, P, B, half)
        return out


def gather_batch_twin(bank: Tensor, copy: Tensor, clip: Tensor, shift: Tensor) -> Tensor:
    """The same in PyTorch."""
    T = bank.shape[2]
    frames = (torch.arange(T, device=bank.device) - shift[..., None]).clamp(0, T - 1)  # (P, B, T)
    batch = bank[copy[..., None], clip[..., None], frames].float()  # (P, B, T, F)
    return batch.permute(0, 3, 1, 2).contiguous()[..., None]


def _compiled(*tensors: Tensor) -> bool:
    if any(t.dtype != torch.float32 or t.device.type != "cpu" for t in tensors) or not tensors[0].numel():
        return False
    return load() is not None


def _call(name: str, like: Tensor, *others: Any) -> None:
    """Call a kernel; a tensor goes as its address, None as NULL. The caller keeps the tensors alive, contiguous.

    `like`, the kernel's first argument, is as large as the work and so decides the number of threads.
    """
    arguments = (like, *others)
    threads = max(1, min(torch.get_num_threads(), like.numel() // FLOATS_A_THREAD))
    values = [a.data_ptr() if isinstance(a, Tensor) else a for a in arguments]
    library: ctypes.CDLL = load()
    if getattr(library, name)(*values, threads):
        raise MemoryError(f"no memory for the scratch space of {name}")


@functools.lru_cache(maxsize=256)
def _band(
    T: int, kernel: int, stride: int, dilation: int, device: torch.device, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Which tap joins input frame i to output frame o, and whether any does: two (T, T') tensors."""
    out = torch.arange(-(-T // stride))
    offset = torch.arange(T)[:, None] - out[None, :] * stride + same_padding(T, kernel, stride, dilation)[0]
    inside = (offset % dilation == 0) & (offset >= 0) & (offset < kernel * dilation)
    tap = (offset // dilation).clamp(0, kernel - 1)
    return tap.to(device), inside.to(device, dtype)


class _DepthwiseTime(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int, dilation: int) -> Tensor:
        x, weight = x.contiguous(), weight.contiguous()
        P, C, B, T, _ = x.shape
        out, kernel = -(-T // stride), weight.shape[2]
        ctx.sizes = (P * C, B, T, out, kernel, stride, dilation, same_padding(T, kernel, stride, dilation)[0])
        ctx.save_for_backward(x, weight)
        y = x.new_empty(P, C, B, out, 1)
        _call("depthwise_forward", x, weight, y, *ctx.sizes)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gy: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        gy = gy.contiguous()
        gx = torch.empty_like(x) if ctx.needs_input_grad[0] else None
        gweight = torch.empty_like(weight) if ctx.needs_input_grad[1] else None
        _call("depthwise_backward", x, weight, gy, gx, gweight, *ctx.sizes)
        return gx, gweight, None, None


class _NormAct(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        running_mean: Tensor,
        running_var: Tensor,
        residual: Tensor | None,
        training: bool,
        relu: bool,
        momentum: float,
        eps: float,
    ) -> Tensor:
        x, weight, bias = x.contiguous(), weight.contiguous(), bias.contiguous()
        if residual is not None:
            residual = residual.contiguous()
        rows = x.shape[0] * x.shape[1]
        y, mean, inverse = torch.empty_like(x), x.new_empty(rows), x.new_empty(rows)
        ctx.sizes = (rows, x.numel() // rows, int(training), int(relu))
        ctx.save_for_backward(x, weight, bias, mean, inverse)
        _call(
            "norm_forward", x, weight, bias, running_mean, running_var, residual, y, mean, inverse, *ctx.sizes,
            momentum, eps,
        )  # fmt: skip
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gy: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias, mean, inverse = ctx.saved_tensors
        given, gy = gy, gy.contiguous()
        gx = torch.empty_like(x) if ctx.needs_input_grad[0] else None
        gweight, gbias = torch.empty_like(weight), torch.empty_like(bias)
        _call("norm_backward", x, weight, bias, gy, mean, inverse, gx, gweight, gbias, *ctx.sizes)
        return gx, gweight, gbias, None, None, given if ctx.needs_input_grad[5] else None, None, None, None, None


class _MeanMaxPool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        x = x.contiguous()
        ctx.shape, time = x.shape, x.shape[3:].numel()
        y = x.new_empty(x.shape[:3])
        where = torch.empty(x.shape[:3], dtype=torch.int32)
        _call("pool_forward", x, y, where, y.numel(), time)
        ctx.save_for_backward(where)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gy: Tensor) -> Tensor:
        (where,) = ctx.saved_tensors
        gx = gy.new_empty(ctx.shape)
        _call("pool_backward", gx, gy.contiguous(), where, where.numel(), ctx.shape[3:].numel())
        return gx


class _WindowMax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, taps: int) -> Tensor:
        x = x.contiguous()
        time = x.shape[3:].numel()
        ctx.sizes = (x.shape[:3].numel(), time, taps, same_padding(time, taps)[0])
        y = torch.empty_like(x)
        _call("window_forward", x, y, *ctx.sizes)
        ctx.save_for_backward(x, y)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gy: Tensor) -> tuple[Tensor, None]:
        x, y = ctx.saved_tensors
        gx = torch.empty_like(x)
        _call("window_backward", x, y, gy.contiguous(), gx, *ctx.sizes)
        return gx, None


class _Plateau(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor, t: Tensor, residual: Tensor | None, taps: int) -> Tensor:
        z, t = z.contiguous(), t.contiguous()
        if residual is not None:
            residual = residual.contiguous()
        time = z.shape[3:].numel()
        ctx.sizes = (z.shape[:3].numel(), time, taps, same_padding(time, taps)[0], z.shape[2])
        y = torch.empty_like(z)
        _call("plateau_forward", z, t, residual, y, *ctx.sizes)
        ctx.save_for_backward(z, t)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gy: Tensor) -> tuple[Tensor | None, ...]:
        z, t = ctx.saved_tensors
        given, gy = gy, gy.contiguous()
        gz, gt = torch.empty_like(z), z.new_empty(z.shape[:3])
        _call("plateau_backward", z, t, gy, gz, gt, *ctx.sizes)
        return gz, gt.sum(2), given if ctx.needs_input_grad[2] else None, None
