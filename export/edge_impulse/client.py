"""Edge Impulse's API through its SDK's bindings: one method a call, every failure one clear line without the key.

The bindings (`edgeimpulse_api`) are the half of the official SDK that its `model.profile` and `model.deploy` are made
of. Those two take a job that failed for one that is done, wait ten attempts on a connection that is refused, follow
redirects with the key, and import TensorFlow; what is built on this client (`studio.py`) does the same calls in the
same order, and checks.
"""

import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from kws_dendrite.errors import ConfigError, ServiceError

KEY, ENDPOINT = "EI_API_KEY", "EI_API_ENDPOINT"
STUDIO = "https://studio.edgeimpulse.com/v1"
WAIT = (10.0, 60.0)  # seconds to connect, and without a byte
WAIT_FOR_FILES = (10.0, 300.0)
_LONGEST = 300  # characters of what a server says
T = TypeVar("T")


@dataclass(frozen=True)
class Job:
    """A job's state; `successful` counts once it is finished."""

    finished: bool
    successful: bool


class Client:
    """One project, by its key.

    Args:
        key: a project's API key.
        endpoint: of the API; Edge Impulse's own unless EI_API_ENDPOINT says otherwise.

    Raises:
        ConfigError: the SDK is not installed, a key that cannot be one, an endpoint that would carry it in the clear.
    """

    def __init__(self, key: str, endpoint: str = STUDIO) -> None:
        self._key = key
        if not re.fullmatch(r"[\x21-\x7e]{8,}", key):
            raise ConfigError(f"{KEY} holds no API key: spaces, line ends or too few characters; copy it again")
        parts = urlsplit(endpoint)
        if parts.scheme != "https" and parts.hostname not in ("localhost", "127.0.0.1"):
            raise ConfigError(f"{ENDPOINT} is {endpoint!r}; the key is sent over https alone")
        try:
            import edgeimpulse_api
            import urllib3
        except ImportError as error:
            raise ConfigError(
                'the Edge Impulse SDK is not installed: pip install "kws-dendrite[edge-impulse]"'
            ) from error
        retries = urllib3.Retry(
            connect=2, read=2, redirect=0, status=0, other=0, backoff_factor=0.2, respect_retry_after_header=False
        )
        settings = edgeimpulse_api.Configuration(host=endpoint, retries=retries)
        settings.api_key["ApiKeyAuthentication"] = key
        self._api = edgeimpulse_api
        self._client = edgeimpulse_api.ApiClient(settings)
        self.endpoint = endpoint
        self._project: int | None = None

    @property
    def version(self) -> str:
        """The SDK's, for reports."""
        return f"edgeimpulse-api {metadata.version('edgeimpulse-api')}"

    @property
    def project(self) -> int:
        """The key's project."""
        if self._project is None:
            found = self._ask("the project", self._api.ProjectsApi(self._client).list_projects)
            if not found.projects:
                raise ServiceError("the key opens no project; take one from the project's Dashboard, Keys")
            self._project = int(found.projects[0].id)
        return self._project

    def devices(self) -> dict[str, str]:
        """The devices that can be profiled for: SDK name -> name in Studio."""
        found = self._ask("the devices", self._api.ProjectsApi(self._client).get_project_info, self.project)
        return {str(device.mcu): str(device.name) for device in found.latency_devices or []}

    def targets(self) -> tuple[str, ...]:
        """What can be built: names of deployment targets."""
        call = self._api.DeploymentApi(self._client).list_deployment_targets_for_project_data_sources
        return tuple(str(target.format) for target in self._ask("the targets", call, self.project).targets or [])

    def upload(self, model: Path, device: str | None) -> int:
        """Start an upload; the job's number. It replaces the project's model."""
        call = self._api.LearnApi(self._client).upload_pretrained_model
        started = self._ask(
            "the upload", call, project_id=self.project, model_file=str(model), model_file_name=model.name,
            model_file_type="tflite", device=device, wait=WAIT_FOR_FILES,
        )  # fmt: skip
        return int(started.id)

    def profile(self) -> int:
        """Start profiling what was uploaded; the job's number."""
        call = self._api.LearnApi(self._client).profile_pretrained_model
        return int(self._ask("profiling", call, self.project).id)

    def job(self, number: int) -> Job:
        """A job's state."""
        found = self._ask(f"job {number}", self._api.JobsApi(self._client).get_job_status, self.project, number).job
        return Job(found.finished is not None, found.finished_successful is True)

    def log(self, number: int) -> list[str]:
        """What a job printed, oldest first; nothing where that cannot be had."""
        try:
            found = self._ask(f"job {number}", self._api.JobsApi(self._client).get_jobs_logs, self.project, number)
        except ServiceError:
            return []
        items = sorted(found.stdout or [], key=lambda item: str(item.created))
        lines = [line for item in items for line in str(item.data).splitlines()]
        return [self.said(line) for line in lines if line.strip()]

    def cancel(self, number: int) -> None:
        """Cancel a job."""
        call = self._api.JobsApi(self._client).cancel_job
        self._ask(f"job {number}", call, self.project, number, force_cancel="true")

    def pretrained(self) -> dict[str, Any]:
        """The uploaded model: tensors and profile, as the API's JSON has them."""
        call = self._api.LearnApi(self._client).get_pretrained_model_info
        return self._ask("the model", call, self.project).to_dict()

    def save(self, labels: tuple[str, ...]) -> None:
        """Step 2 of the upload page: input Other, output Classification, labels in order."""
        values = {
            "input": {"inputType": "other"},
            "model": {"modelType": "classification", "labels": list(labels)},
        }
        request = self._api.SavePretrainedModelRequest.from_dict(values)
        call = self._api.LearnApi(self._client).save_pretrained_model_parameters
        self._ask("the model's settings", call, self.project, request)

    def build(self, target: str, engine: str) -> int:
        """Start building the int8 model for a deployment target; the job's number."""
        request = self._api.BuildOnDeviceModelRequest.from_dict({"engine": engine, "modelType": "int8"})
        call = self._api.JobsApi(self._client).build_on_device_model_job
        return int(self._ask("the build", call, self.project, target, request).id)

    def download(self, target: str, engine: str) -> bytes:
        """What was built."""
        call = self._api.DeploymentApi(self._client).download_build
        found = self._ask(
            "the download", call, self.project, target, model_type="int8", engine=engine, _preload_content=False,
            wait=WAIT_FOR_FILES,
        )  # fmt: skip
        return bytes(found.data)

    def said(self, text: object) -> str:
        """A server's words, fit to print: one line, not long, and never the key."""
        clean = "".join(sign if sign.isprintable() else " " for sign in str(text).replace(self._key, "[key]"))
        clean = " ".join(clean.split())
        return clean if len(clean) <= _LONGEST else f"{clean[:_LONGEST]}..."

    def _ask(self, what: str, call: Callable[..., T], *given: Any, wait: tuple[float, float] = WAIT, **named: Any) -> T:
        """One call; `from None` because the libraries' own texts may repeat what was sent."""
        try:
            answer = call(*given, **named, _request_timeout=wait)
        except Exception as error:
            raise self._failure(what, error) from None
        if getattr(answer, "success", True) is False:
            raise ServiceError(f"Edge Impulse refuses {what}: {self.said(getattr(answer, 'error', None))}")
        return answer

    def _failure(self, what: str, error: Exception) -> Exception:
        import urllib3

        status = getattr(error, "status", None)
        if status == 401:
            return ServiceError(f"Edge Impulse does not know the key in {KEY} (401); copy it again, whole, from the "
                                "project's Dashboard, Keys")  # fmt: skip
        if status == 403:
            return ServiceError(
                f"the key in {KEY} may not do this (403 on {what}): models need a key with the role Admin; make one "
                "under the project's Dashboard, Keys"
            )
        if isinstance(status, int) and status:
            return ServiceError(f"Edge Impulse answers {status} on {what}: {self.said(self._body(error))}")
        if isinstance(error, urllib3.exceptions.HTTPError | OSError | self._api.ApiException):
            host = urlsplit(self.endpoint).netloc
            return ServiceError(f"the connection to {host} failed on {what} ({self.said(_reason(error))}); try again")
        if type(error) is Exception:  # the bindings' way to say success: false
            return ServiceError(f"Edge Impulse refuses {what}: {self.said(error)}")
        return ServiceError(f"Edge Impulse's answer on {what} is not as documented ({self.said(error)})")

    def _body(self, error: Exception) -> str:
        body = getattr(error, "body", None)
        try:
            found = json.loads(body) if body else None
        except ValueError:
            found = None
        if isinstance(found, dict) and found.get("error"):
            return str(found["error"])
        return str(getattr(error, "reason", None) or "no reason given")


def _reason(error: Exception) -> str:
    """The innermost words of a library's chain of errors."""
    inner = getattr(error, "reason", None) or error
    if isinstance(inner, Exception) and len(inner.args) > 1 and isinstance(inner.args[1], Exception):
        inner = inner.args[1]
    return str(inner).rsplit(": ", 1)[-1] or type(inner).__name__


def from_environment() -> Client:
    """A client by EI_API_KEY, and EI_API_ENDPOINT where that is set.

    Raises:
        ConfigError: no key there; the rest as `Client`.
    """
    key = os.environ.get(KEY, "").strip()
    if not key:
        raise ConfigError(f"set {KEY} to a key of your Edge Impulse project (Dashboard, Keys), with the role Admin")
    return Client(key, os.environ.get(ENDPOINT, "").strip() or STUDIO)
