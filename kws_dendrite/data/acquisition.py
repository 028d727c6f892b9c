"""Edge Impulse's acquisition files, JSON or CBOR, to int16 samples.

Source: Edge Impulse, "Data acquisition format": `protected`, `signature`, `payload`. Audio is one sensor of units
"wav" whose values are int16 steps. The signature is not checked: that takes the project's HMAC key.
"""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from kws_dendrite.errors import DataError

ACQUISITION_SUFFIXES = frozenset({".json", ".cbor"})
MOST_BYTES = 32 << 20  # ten minutes of 16 kHz audio as CBOR; what it unpacks to in memory is some ten times as much
MOST_SENSORS = 64
RATES = (1000, 192000)  # Hz, as TaskConfig takes them
_SOUND = re.compile(r"audio|mic|sound|wav", re.IGNORECASE)


def is_acquisition(path: Path) -> bool:
    """Whether the name says acquisition file; hidden files are not."""
    return path.suffix.lower() in ACQUISITION_SUFFIXES and not path.name.startswith(".")


def read_acquisition(path: Path) -> tuple[np.ndarray, int]:
    """Samples int16 (S,) and their rate in Hz.

    Raises:
        DataError: missing, too large, neither JSON nor CBOR, not an acquisition, no audio, no samples, samples that
            are no int16 steps; the message names the file.
    """
    payload = _payload(path)
    rate = _rate(payload.get("interval_ms"), path)
    values = payload.get("values")
    if not isinstance(values, list):
        raise DataError(f"{path} holds no list of values in its payload; export the sample again")
    if not values:
        raise DataError(f"{path} has no samples (zero length); remove it or record it again")
    samples = _column(values, _sensors(payload.get("sensors"), path), path)
    low, high = float(samples.min()), float(samples.max())
    if not (np.isfinite(low) and np.isfinite(high)) or low < -32768 or high > 32767:
        raise DataError(
            f"{path} holds values from {low:g} to {high:g}; audio is in int16 steps, -32768 to 32767: export it as WAV"
        )
    if max(-low, high) <= 1 and np.any(samples != np.rint(samples)):
        raise DataError(f"{path} holds samples scaled to +-1; Edge Impulse takes int16 steps: multiply them by 32768")
    return np.rint(samples).astype(np.int16), rate


def probe_acquisition(path: Path) -> float:
    """Seconds in an acquisition. The whole file is read: its length stands in its values alone.

    Raises:
        DataError: as `read_acquisition`.
    """
    samples, rate = read_acquisition(path)
    return len(samples) / rate


def _payload(path: Path) -> dict[str, Any]:
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise DataError(
                f"{path} has {size / 2**20:,.0f} MiB; acquisition files are read up to {MOST_BYTES >> 20}: export "
                "the sample as WAV"
            )
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist; expected an acquisition file there") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    kind = "CBOR" if path.suffix.lower() == ".cbor" else "JSON"
    try:
        value = _from_cbor(content) if kind == "CBOR" else json.loads(content)
    except Exception as error:  # whatever a decoder makes of foreign bytes, the file is at fault
        reason = " ".join(str(error).split())[:80].rstrip(".") or type(error).__name__
        raise DataError(f"{path} is no readable {kind} ({reason}); remove it or export it again") from error
    payload = value.get("payload") if isinstance(value, dict) else None
    if not isinstance(payload, dict):
        raise DataError(f"{path} is no acquisition file: it has no payload; remove it or export it again")
    return payload


def _from_cbor(content: bytes) -> Any:
    import cbor2

    return cbor2.loads(content, strict_hashable_types=True)  # no map whose keys were made to collide


def _rate(interval: Any, path: Path) -> int:
    """Hz, from milliseconds a sample or from text such as "16000Hz"."""
    if isinstance(interval, str) and re.fullmatch(r"\s*[0-9]{1,9}(\.[0-9]{1,9})?\s*[hH][zZ]\s*", interval):
        hertz = float(interval.strip()[:-2])
    elif isinstance(interval, int | float) and not isinstance(interval, bool) and 1e-6 < interval < 1e6:
        hertz = 1000 / interval
    else:
        raise DataError(
            f"{path}: interval_ms is {str(interval)[:40]!r}; expected milliseconds a sample, such as 0.0625"
        )
    rate = round(hertz)
    if not RATES[0] <= rate <= RATES[1]:
        raise DataError(f"{path} has {hertz:g} samples a second; audio has {RATES[0]} to {RATES[1]}: is it audio?")
    return rate


def _sensors(sensors: Any, path: Path) -> tuple[int, int]:
    """(the audio's column, columns)."""
    if not isinstance(sensors, list) or not 1 <= len(sensors) <= MOST_SENSORS:
        raise DataError(f"{path} names no sensors; expected one with units 'wav'")
    names = [
        (str(item.get("name", "")), str(item.get("units", ""))) if isinstance(item, dict) else ("", "")
        for item in sensors
    ]
    sound = [index for index, (name, units) in enumerate(names) if units.lower() == "wav" or _SOUND.search(name)]
    if len(sound) != 1:
        found = ", ".join(name[:20] or "unnamed" for name, _ in names[:6])
        many = f"{len(sound)} audio sensors" if sound else "no audio"
        raise DataError(f"{path} holds {many} (sensors: {found}); one audio sensor is read: leave the file out")
    return sound[0], len(sensors)


def _column(values: list, sensors: tuple[int, int], path: Path) -> np.ndarray:
    """One sensor's values float64 (S,). Rows are read one by one: CBOR's references can stand for more than fits."""
    column, width = sensors
    kinds = set(map(type, values))
    if kinds == {list} and all(len(row) == width for row in values):
        values = [row[column] for row in values]
        kinds = set(map(type, values))
    elif width != 1 or list in kinds:
        raise DataError(f"{path} has rows of values that do not fit its {width} sensor(s); export the sample again")
    if str in kinds and any(str(value).startswith("Ref-") for value in values[:1]):
        raise DataError(f"{path} refers to an attachment ({values[0][:30]}) that is not in it; export it as WAV")
    if not kinds <= {int, float}:
        strange = ", ".join(sorted(kind.__name__ for kind in kinds - {int, float}))
        raise DataError(f"{path} holds values that are no numbers ({strange}); export the sample again")
    try:
        return np.fromiter(values, np.float64, len(values))
    except OverflowError as error:
        raise DataError(f"{path} holds values beyond int16 by far; export the sample again") from error
