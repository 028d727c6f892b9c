"""Profiling and deploying in an Edge Impulse project: upload, wait, profile, build, fetch; a failed job is an error."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from kws_dendrite.errors import ConfigError, ServiceError
from kws_dendrite.export.edge_impulse.client import Client

ENGINES = {
    "tflite": ("tflite", "TensorFlow Lite"),
    "tflite-eon": ("eon", "EON Compiler"),
    "tflite-eon-ram-optimized": ("eonRamOptimized", "EON Compiler, RAM optimised"),
}  # the API's engine -> its name among the profile's memories, and in words
TIMEOUT = 600.0
_SHOWN = 5

Say = Callable[[str], None]


@dataclass(frozen=True)
class Memory:
    """What one engine needs on the device, in bytes, by Studio's estimate."""

    engine: str
    ram: int | None
    rom: int | None
    arena: int | None


@dataclass(frozen=True)
class Profile:
    """Studio's estimate for one device.

    Attributes:
        device: the SDK's name of it.
        variant: "int8" or "float32", what was profiled.
        milliseconds: of an inference, whole ones; None where Studio has no figure.
        memories: an entry an engine.
        supported: whether Studio would run it on a microcontroller.
        problem: Studio's words where something is amiss, or "".
    """

    device: str
    variant: str
    milliseconds: int | None
    memories: tuple[Memory, ...]
    supported: bool
    problem: str

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "memories": [asdict(memory) for memory in self.memories]}


class Studio:
    """What can be done with a model in a project.

    Args:
        client: the project.
        timeout: seconds that one job may take; 0 for ever.
        pause: seconds between two looks at a job.
        say: takes a phrase as each step begins.
    """

    def __init__(
        self, client: Client, *, timeout: float = TIMEOUT, pause: float = 1.0, say: Say = lambda phrase: None
    ) -> None:
        self.client, self.timeout, self.pause, self.say = client, timeout, pause, say

    def profile(self, model: Path, device: str) -> Profile:
        """Upload an int8 TFLite file and profile it for a device. The project's earlier model is replaced.

        Raises:
            ConfigError: a device that Edge Impulse does not have (the nearest are named).
            ServiceError: refused, failed, not done in time, or not reached.
        """
        devices = self.client.devices()
        if device not in devices:
            raise ConfigError(_unknown("device", device, tuple(devices), devices))
        self.say(f"uploading {model.name}")
        self._wait("upload", self.client.upload(model, device))
        self.say(f"profiling for {device}")
        self._wait("profiling", self.client.profile())
        return _profile(self.client.pretrained(), device, self.client.said)

    def check_target(self, target: str) -> None:
        """See that the project can be built for a deployment target, before anything is uploaded.

        Raises:
            ConfigError: it cannot (the nearest are named).
            ServiceError: refused or not reached.
        """
        targets = self.client.targets()
        if target not in targets:
            raise ConfigError(_unknown("deployment target", target, targets))

    def deploy(self, labels: tuple[str, ...], *, target: str, engine: str) -> bytes:
        """Build the uploaded model for a deployment target; the archive.

        Raises:
            ConfigError: labels that do not fit the model.
            ServiceError: as `profile`; or what comes back is no zip archive.
        """
        shape = _output(self.client.pretrained())
        if shape is not None and shape != [1, len(labels)]:
            raise ConfigError(
                f"the model has {len(labels)} labels, in the project its output is {shape}; upload it again"
            )
        self.say("saving labels")
        self.client.save(labels)
        self.say(f"building {target} with {engine}")
        self._wait("build", self.client.build(target, engine))
        self.say("downloading")
        archive = self.client.download(target, engine)
        if not archive.startswith(b"PK"):
            raise ServiceError(f"what was built is no zip archive ({len(archive)} bytes); try again")
        return archive

    def _wait(self, what: str, number: int) -> None:
        """Until a job is done. One that takes too long, or is interrupted here, is cancelled."""
        try:
            self._look(what, number)
        except KeyboardInterrupt:
            self._cancelled(number)
            raise

    def _look(self, what: str, number: int) -> None:
        end = time.monotonic() + self.timeout if self.timeout else None
        while True:
            job = self.client.job(number)
            if job.finished and job.successful:
                return
            if job.finished:
                last = " / ".join(self.client.log(number)[-3:]) or "it printed nothing"
                raise ServiceError(f"the {what} failed in Edge Impulse (job {number}): {self.client.said(last)}")
            if end is not None and time.monotonic() >= end:
                raise ServiceError(
                    f"the {what} (job {number}) was not done in {self.timeout:g} s{self._cancelled(number)}; "
                    "allow more with --timeout"
                )
            time.sleep(self.pause)

    def _cancelled(self, number: int) -> str:
        try:
            self.client.cancel(number)
        except ServiceError:
            return " and could not be cancelled"
        return " and is cancelled"


def _profile(model: dict[str, Any], device: str, said: Callable[[object], str]) -> Profile:
    described = model.get("model") or {}
    if described.get("profileJobFailed"):
        raise ServiceError("Edge Impulse says that profiling failed; the project's job log has the reason")
    info = described.get("profileInfo") or {}
    variant = next((name for name in ("int8", "float32") if info.get(name)), None)
    if variant is None:
        raise ServiceError(
            "Edge Impulse has no profile of the model for that device, though the job is done; try again"
        )
    found = info[variant]
    memory = found.get("memory") or {}
    memories = tuple(
        Memory(words, *(_whole(memory[name].get(field)) for field in ("ram", "rom", "arenaSize")))
        for name, words in ENGINES.values()
        if memory.get(name)
    )
    problem = said(found.get("profilingError") or found.get("mcuSupportError") or "")
    milliseconds = _whole(found.get("timePerInferenceMs")) if found.get("hasPerformance", True) else None
    return Profile(device, variant, milliseconds, memories, bool(found.get("isSupportedOnMcu", True)), problem)


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _output(model: dict[str, Any]) -> list[int] | None:
    outputs = (model.get("model") or {}).get("outputs") or []
    return list(outputs[0].get("shape") or []) if outputs else None


def _unknown(what: str, name: str, known: tuple[str, ...], spoken: dict[str, str] | None = None) -> str:
    """A message that names the nearest; `spoken` are the names that people know them by."""
    plain = {other.lower(): other for other in known}
    plain |= {words.lower(): other for other, words in (spoken or {}).items()}
    near = [plain[match] for match in get_close_matches(name.lower(), plain, _SHOWN, 0.5)]
    near += [other for words, other in plain.items() if name.lower() in words]
    near = list(dict.fromkeys(near))[:_SHOWN]
    hint = f"nearest: {', '.join(near)}" if near else f"it has {len(known)}: {', '.join(known[:_SHOWN])}, ..."
    return f"Edge Impulse has no {what} {name!r} for this project; {hint}"
