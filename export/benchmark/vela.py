"""Estimates for Arm's Ethos-U by Arm's own Vela compiler, where it is installed. Not measured, and not ours."""

import csv
import importlib.metadata
import importlib.util
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kws_dendrite.errors import ConfigError, ExportError

INSTALL = "pip install ethos-u-vela"
CONFIGURATIONS = ("ethos-u55-32", "ethos-u55-64", "ethos-u55-128", "ethos-u55-256", "ethos-u65-256", "ethos-u85-128")
DEFAULT = "ethos-u55-128"
TIMEOUT = 600


@dataclass(frozen=True)
class VelaEstimate:
    """What Vela says of one model.

    Attributes:
        configuration: the accelerator.
        cycles: of one inference.
        milliseconds: of one inference, at `clock_hz`, Vela's default for the accelerator.
        clock_hz: of the accelerator.
        sram_kib: of activations.
        version: of Vela.
    """

    configuration: str
    cycles: int
    milliseconds: float
    clock_hz: float
    sram_kib: float
    version: str

    def to_json(self) -> dict[str, Any]:
        """Plain numbers and strings."""
        return asdict(self)


def is_installed() -> bool:
    """Whether Vela can be imported."""
    try:
        return importlib.util.find_spec("ethosu.vela") is not None
    except ModuleNotFoundError:
        return False


def check(configuration: str) -> None:
    """Refuse an accelerator that is none, and an estimate without Vela.

    Raises:
        ConfigError: an unknown accelerator.
        ExportError: Vela is not installed; the message has the command.
    """
    if configuration not in CONFIGURATIONS:
        raise ConfigError(f"--ethos-u is one of {', '.join(CONFIGURATIONS)}; got {configuration!r}")
    if not is_installed():
        raise ExportError(f"Ethos-U estimates need Arm's Vela: {INSTALL}")


def estimate(model: Path, configuration: str = DEFAULT) -> VelaEstimate:
    """Run Vela on an int8 .tflite and read its summary.

    Raises:
        ConfigError, ExportError: as `check`; or Vela does not take the model, or its summary has other columns.
    """
    check(configuration)
    with tempfile.TemporaryDirectory(prefix="kws_dendrite_") as folder:
        command = [sys.executable, "-m", "ethosu.vela", str(model), "--accelerator-config", configuration]
        try:
            result = subprocess.run(
                [*command, "--output-dir", folder], capture_output=True, text=True, check=False, timeout=TIMEOUT
            )
        except subprocess.TimeoutExpired as error:
            raise ExportError(f"Vela did not finish within {TIMEOUT} s") from error
        summaries = sorted(Path(folder).glob("*_summary_*.csv"))
        if result.returncode != 0 or not summaries:
            lines = [line for line in (result.stderr + result.stdout).splitlines() if line.strip()]
            raise ExportError(f"Vela does not take {model}: {lines[-1] if lines else 'it said nothing'}")
        return read_summary(summaries[0].read_text(encoding="utf-8"), configuration, _version())


def _version() -> str:
    try:
        return importlib.metadata.version("ethos-u-vela")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def read_summary(text: str, configuration: str, version: str) -> VelaEstimate:
    """The last row of Vela's summary table.

    Raises:
        ExportError: it has other columns.
    """
    try:
        row = list(csv.DictReader(text.splitlines()))[-1]
        return VelaEstimate(
            configuration=configuration,
            cycles=round(float(row["cycles_total"])),
            milliseconds=round(float(row["inference_time"]) * 1000, 4),
            clock_hz=float(row["core_clock"]),
            sram_kib=float(row["sram_memory_used"]),
            version=version,
        )
    except (KeyError, ValueError, IndexError, TypeError) as error:
        raise ExportError(f"Vela's summary has other columns than expected ({error}); tested with 5.2.0") from error
