"""`kws-dendrite features`: one clip through a front end, as numbers and as a picture."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kws_dendrite.errors import ConfigError, DataError

if TYPE_CHECKING:
    import numpy as np

    from kws_dendrite.frontend import FrontEndConfig

TIMED_RUNS = 5


def features(
    path: Annotated[Path, typer.Argument(help="An audio file.", show_default=False)],
    frontend: Annotated[str, typer.Option(help="mfcc, mfe (both as Edge Impulse's blocks) or logmel.")] = "mfcc",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A front-end setting, such as num_filters=40; repeatable."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write the features: .npz (float32 and the settings), or .png to draw them.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the features: a .png file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show the features of one clip.

    Frames, coefficients, range of values, time to compute.
    """
    from kws_dendrite.frontend import configure
    from kws_dendrite.settings import parse_assignments

    config = configure(frontend, parse_assignments(settings or []))
    pictures = [plot] if plot else []
    if out and out.suffix.lower() == ".png":
        pictures, out = [*pictures, out], None
    if out and out.suffix.lower() != ".npz":
        raise ConfigError(f"--out {out} must end in .npz or .png")
    if plot and plot.suffix.lower() != ".png":
        raise ConfigError(f"--plot {plot} must end in .png")
    signal = _read(path, config.sampling_freq)
    values, milliseconds = _timed(signal, config)
    if out:
        _save(out, values, config)
    for picture in pictures:
        _draw(picture, path.name, signal, values, config)
    summary = _summary(path, signal, values, config, milliseconds)
    summary["written"] = [str(file) for file in [out, *pictures] if file]
    print(json.dumps(summary, allow_nan=False) if as_json else _as_text(summary))


def _read(path: Path, sampling_freq: int) -> "np.ndarray":
    if not path.exists():
        raise DataError(f"{path} does not exist; name an audio file")
    if path.is_dir():
        raise DataError(f"{path} is a folder; name one audio file in it (`kws-dendrite data {path}` lists a folder)")
    from kws_dendrite.data.audio import read_audio

    return read_audio(path, sampling_freq)


def _timed(signal: "np.ndarray", config: "FrontEndConfig") -> tuple["np.ndarray", float]:
    """The features and the median milliseconds of some computations, by the numpy reference."""
    import statistics
    import time

    from kws_dendrite.frontend import compute

    seconds = []
    for _ in range(TIMED_RUNS):
        start = time.perf_counter()
        values = compute(signal, config)
        seconds.append(time.perf_counter() - start)
    return values, 1e3 * statistics.median(seconds)


def _summary(
    path: Path, signal: "np.ndarray", values: "np.ndarray", config: "FrontEndConfig", milliseconds: float
) -> dict[str, Any]:
    from kws_dendrite.frontend import to_json

    frames, coefficients = values.shape
    return {
        "path": str(path),
        "frontend": to_json(config),
        "samples": len(signal),
        "seconds": len(signal) / config.sampling_freq,
        "silent": bool((signal == signal[0]).all()),
        "frames": frames,
        "coefficients": coefficients,
        "minimum": float(values.min()),
        "maximum": float(values.max()),
        "mean": float(values.mean(dtype="float64")),
        "milliseconds": milliseconds,
    }


def _as_text(summary: dict[str, Any]) -> str:
    settings = summary["frontend"]
    lines = [
        f"{summary['path']}: {summary['seconds']:.3f} s at {settings['sampling_freq']} Hz",
        f"  {settings['block']:10} {summary['frames']} frames x {summary['coefficients']} coefficients = "
        f"{summary['frames'] * summary['coefficients']} features",
        f"  {'values':10} {summary['minimum']:.4g} to {summary['maximum']:.4g}, mean {summary['mean']:.4g}",
        f"  {'time':10} {summary['milliseconds']:.2f} ms (numpy reference on this machine)",
    ]
    if summary["silent"]:
        lines.append("  every sample is alike (digital silence): normalised features of it are 0 or rounding noise")
    lines += [f"  wrote {path}" for path in summary["written"]]
    return "\n".join(lines)


def _save(path: Path, values: "np.ndarray", config: "FrontEndConfig") -> None:
    import numpy as np

    from kws_dendrite.frontend import to_json
    from kws_dendrite.output import replacing

    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, features=values, frontend=json.dumps(to_json(config)))


def _draw(path: Path, title: str, signal: "np.ndarray", values: "np.ndarray", config: "FrontEndConfig") -> None:
    import numpy as np
    from matplotlib.figure import Figure

    from kws_dendrite.output import replacing

    frames, coefficients = values.shape
    seconds = len(signal) / config.sampling_freq
    figure = Figure(figsize=(8, 5), layout="constrained")  # no pyplot: no window, no global state
    wave, map_ = figure.subplots(2, 1, sharex=True, height_ratios=(1, 3))
    wave.plot(np.arange(len(signal)) / config.sampling_freq, signal, linewidth=0.5)
    wave.set_ylabel("sample")
    wave.set_title(f"{title}: {config.block}, {frames} x {coefficients}")
    end = frames * config.stride_samples / config.sampling_freq
    image = map_.imshow(
        values.T, origin="lower", aspect="auto", interpolation="nearest", extent=(0, end, -0.5, coefficients - 0.5)
    )
    map_.set(xlim=(0, max(seconds, end)), xlabel="seconds", ylabel="coefficient" if config.block == "mfcc" else "band")
    figure.colorbar(image, ax=map_)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120, metadata={"Software": None})
