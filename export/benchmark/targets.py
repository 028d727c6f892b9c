"""The five cores that the benchmark knows: how to compile for each, and which emulated machine has it."""

from dataclasses import dataclass

from kws_dendrite.errors import ConfigError


@dataclass(frozen=True)
class Target:
    """One core.

    Attributes:
        name: as `--target` has it.
        flags: of the compiler.
        machine: QEMU's name of a machine with this core.
        flash, ram: origin and length in bytes, of the memories that the firmware is linked to (QEMU's documentation of
            Arm's MPS2 and MPS3 boards).
        systick_hz: what SysTick's processor clock runs at on that machine.
        modelled: whether `cycles` has a model of the core.
    """

    name: str
    flags: tuple[str, ...]
    machine: str
    flash: tuple[int, int]
    ram: tuple[int, int]
    systick_hz: int
    modelled: bool = False


_MPS2 = {"flash": (0x0, 4 << 20), "ram": (0x20000000, 4 << 20), "systick_hz": 25_000_000}
TARGETS = {
    target.name: target
    for target in (
        Target("cortex-m3", ("-mcpu=cortex-m3", "-mthumb", "-mfloat-abi=soft"), "mps2-an385", **_MPS2),
        Target(
            "cortex-m4",
            ("-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"),
            "mps2-an386",
            modelled=True,
            **_MPS2,
        ),
        Target(
            "cortex-m7", ("-mcpu=cortex-m7", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv5-sp-d16"), "mps2-an500", **_MPS2
        ),
        Target(
            "cortex-m33",
            ("-mcpu=cortex-m33", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv5-sp-d16"),
            "mps2-an505",
            flash=(0x10000000, 4 << 20),
            ram=(0x38000000, 4 << 20),
            systick_hz=20_000_000,
        ),
        Target(
            "cortex-m55",
            ("-mcpu=cortex-m55", "-mthumb", "-mfloat-abi=hard"),
            "mps3-an547",
            flash=(0x0, 512 << 10),
            ram=(0x20000000, 512 << 10),
            systick_hz=32_000_000,
        ),
    )
}
BOARD = "board"


def find_target(name: str) -> Target:
    """The core of that name.

    Raises:
        ConfigError: there is none.
    """
    if name not in TARGETS:
        raise ConfigError(f"--target is one of {', '.join(TARGETS)} or {BOARD}; got {name!r}")
    return TARGETS[name]
