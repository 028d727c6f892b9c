"""Where populations are trained: on the CPU, or on a GPU that torch can use."""

from typing import TYPE_CHECKING

from kws_dendrite.errors import ConfigError

if TYPE_CHECKING:
    import torch

DEFAULT = "cpu"  # where a few seeds of a small net are trained faster, by this package's own kernels


def named_device(name: str) -> "torch.device":
    """The device of that name: cpu, cuda, cuda:1, xpu.

    Raises:
        ConfigError: there is none.
    """
    import torch

    try:
        device = torch.device(name)
        torch.ones(1, device=device).item()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigError(f"torch has no device {name!r} here ({why}); take --device cpu") from error
    return device
