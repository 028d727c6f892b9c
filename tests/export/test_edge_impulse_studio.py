import logging
import traceback

import pytest
from fake_studio import ARCHIVE, DEVICES, KEY, Scene, serve

from kws_dendrite.errors import ConfigError, KwsDendriteError, ServiceError
from kws_dendrite.export.edge_impulse import studio
from kws_dendrite.export.edge_impulse.client import Client, from_environment
from kws_dendrite.export.edge_impulse.comparison import core_of
from kws_dendrite.export.edge_impulse.studio import Memory, Studio

DEVICE = "cortex-m4f-80mhz"
LABELS = ("yes", "no", "_unknown_", "_silence_")


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model_quantized_int8_io.tflite"
    path.write_bytes(b"\x1c\x00\x00\x00TFL3 \x00\xff bytes that are not text")
    return path


@pytest.fixture
def played(model):
    """(scene, what to do with a Studio) -> what it gives."""

    def play(scene, act=lambda studio, model: studio.profile(model, DEVICE), key=KEY, timeout=30):
        with serve(scene) as endpoint:
            return act(Studio(Client(key, endpoint), timeout=timeout, pause=0.01), model)

    return play


def deploy(studio, model):
    studio.profile(model, DEVICE)
    return studio.deploy(LABELS, target="zip", engine="tflite-eon")


def test_a_profile_is_the_documented_calls_in_order(played, model):
    scene = Scene()
    found = played(scene)
    assert (found.device, found.variant, found.milliseconds, found.supported) == (DEVICE, "int8", 3, True)
    assert found.memories == (
        Memory("TensorFlow Lite", 8995, 47359, 8819),
        Memory("EON Compiler", 6272, 28800, 4608),
    )
    assert scene.requests == [
        ("GET", "/api/projects"),
        ("GET", "/api/4711"),
        ("POST", "/api/4711/pretrained-model/upload"),
        *[("GET", "/api/4711/jobs/100/status")] * 2,
        ("POST", "/api/4711/pretrained-model/profile"),
        *[("GET", "/api/4711/jobs/101/status")] * 2,
        ("GET", "/api/4711/pretrained-model"),
    ]
    [body] = scene.uploads
    assert model.read_bytes() in body and b"tflite" in body and DEVICE.encode() in body


def test_a_deployment_saves_labels_builds_int8_and_fetches(played):
    scene = Scene()
    assert played(scene, deploy) == ARCHIVE
    assert scene.bodies["save"] == {
        "input": {"inputType": "other"},
        "model": {"modelType": "classification", "labels": list(LABELS)},
    }
    assert scene.bodies["build"] == {"engine": "tflite-eon", "modelType": "int8"}


def test_the_official_function_gets_the_same_from_this_server(model, monkeypatch):
    import edgeimpulse

    scene = Scene(looks=1)
    with serve(scene) as endpoint:
        monkeypatch.setattr(edgeimpulse, "API_ENDPOINT", endpoint)
        response = edgeimpulse.model.profile(model=str(model), device=DEVICE, api_key=KEY, timeout_sec=20)
        found = Studio(Client(KEY, endpoint), pause=0.01).profile(model, DEVICE)
    theirs = response.to_dict()["model"]["profileInfo"]["int8"]
    assert theirs["timePerInferenceMs"] == found.milliseconds
    assert [memory.ram for memory in found.memories] == [theirs["memory"][name]["ram"] for name in ("tflite", "eon")]


FAILURES = {
    "unknown key": (Scene(), {"key": "ei_another0000"}, ServiceError, "does not know the key in EI_API_KEY \\(401\\)"),
    "no admin": (Scene(status={"/upload": 403}), {}, ServiceError, "403 on the upload.*role Admin"),
    "upload fails": (Scene(fails=("upload",)), {}, ServiceError, "the upload failed .*job 100.*Unsupported ops: Pow"),
    "profiling fails": (Scene(fails=("profile",)), {}, ServiceError, "the profiling failed.*Unsupported ops: Pow"),
    "build fails": (Scene(fails=("build",)), {"act": deploy}, ServiceError, "the build failed.*Unsupported ops: Pow"),
    "never ends": (Scene(endless=("profile",)), {"timeout": 0.2}, ServiceError, "not done in 0.2 s and is cancelled"),
    "never ends, no cancel": (
        Scene(endless=("upload",), status={"/cancel": 500}),
        {"timeout": 0.2},
        ServiceError,
        "could not be cancelled",
    ),
    "dropped": (Scene(drop=("/upload",)), {}, ServiceError, "failed on the upload .Remote end closed"),
    "dropped while waiting": (Scene(drop=("/status",)), {}, ServiceError, "failed on job 100"),
    "broken server": (Scene(status={"/profile": 500}), {}, ServiceError, "answers 500 on profiling: no, said"),
    "not found": (Scene(status={"/pretrained-model": 404}), {}, ServiceError, "answers 404 on the model"),
    "overloaded": (Scene(status={"/projects": 503}), {}, ServiceError, "answers 503 on the project"),
    "sent elsewhere": (Scene(status={"/projects": 307}), {}, ServiceError, "failed on the project .too many redirects"),
    "refused in words": (Scene(refuses="/upload"), {}, ServiceError, "refuses the upload: no more uploads today"),
    "a page for people": (Scene(garbles="/upload"), {}, ServiceError, "answer on the upload is not as documented"),
    "no profile": (Scene(profile=None), {}, ServiceError, "no profile of the model"),
    "not a zip": (Scene(archive=b"<html>"), {"act": deploy}, ServiceError, "no zip archive .6 bytes"),
    "another model": (Scene(classes=3), {"act": deploy}, ConfigError, r"project its output is \[1, 3\]"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAILURES)
@pytest.mark.parametrize("echo", [False, True])
def test_each_failure_is_one_line_and_the_key_is_in_none(played, caplog, capfd, name, echo):
    given, options, kind, says = FAILURES[name]
    scene = Scene(
        given.status, given.drop, given.fails, given.endless, refuses=given.refuses, classes=given.classes,
        archive=given.archive, echo=echo, garbles=given.garbles, profile=given.profile,
    )  # fmt: skip
    caplog.set_level(logging.DEBUG)
    with pytest.raises(kind, match=None if echo and "said" in says else says) as caught:
        played(scene, **options)
    key = options.get("key", KEY)
    told = "".join(traceback.format_exception(caught.value)) + caplog.text + "".join(capfd.readouterr())
    assert key not in told and KEY not in told
    assert "\n" not in str(caught.value) and "\x1b" not in str(caught.value)


def test_an_endless_job_is_cancelled(played):
    scene = Scene(endless=("upload",))
    with pytest.raises(ServiceError, match="--timeout"):
        played(scene, timeout=0.1)
    assert scene.cancelled == [100]
    assert ("POST", "/api/4711/pretrained-model/profile") not in scene.requests


def test_an_interrupted_wait_cancels_the_job(played, monkeypatch):
    def interrupt(seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(studio.time, "sleep", interrupt)
    scene = Scene(endless=("upload",))
    with pytest.raises(KeyboardInterrupt):
        played(scene)
    assert scene.cancelled == [100]


def test_nobody_answers(model):
    with serve(Scene()) as endpoint:
        pass
    with pytest.raises(ServiceError, match=r"connection to 127\.0\.0\.1:.* failed on the project"):
        Studio(Client(KEY, endpoint)).profile(model, DEVICE)


@pytest.mark.parametrize(
    ("device", "near"),
    [("cortex-m4-80mhz", "cortex-m4f-80mhz"), ("esp32", "espressif-esp32"), ("Arduino Nano 33", "arduino-nano-33-ble")],
)
def test_an_unknown_device_names_the_nearest_before_anything_is_uploaded(played, device, near):
    scene = Scene()
    with pytest.raises(ConfigError, match=rf"no device '{device}'.*nearest: .*{near}"):
        played(scene, lambda studio, model: studio.profile(model, device))
    assert scene.uploads == []


def test_a_device_like_none_shows_some(played):
    with pytest.raises(ConfigError, match=f"it has {len(DEVICES)}: cortex-m4f-80mhz"):
        played(Scene(), lambda studio, model: studio.profile(model, "zzz"))


def test_an_unknown_target_names_the_nearest(played):
    scene = Scene()
    with pytest.raises(ConfigError, match=r"no deployment target 'arduin'.*nearest: arduino"):
        played(scene, lambda studio, model: studio.check_target("arduin"))
    played(scene, lambda studio, model: studio.check_target("arduino"))


def test_what_studio_finds_amiss_is_kept(played):
    scene = Scene(profile={"isSupportedOnMcu": False, "mcuSupportError": "Unsupported ops: Pow", "memory": None})
    found = played(scene)
    assert (found.supported, found.problem, found.memories) == (False, "Unsupported ops: Pow", ())
    scene = Scene(profile={"hasPerformance": False, "profilingError": "not on this target"})
    found = played(scene)
    assert (found.milliseconds, found.problem) == (None, "not on this target")


@pytest.mark.parametrize("key", ["", "short", "has a space in it", "line\nend_0123456", "ümlaut_0123456"])
def test_a_key_that_cannot_be_one_is_refused_unseen(key):
    with pytest.raises(ConfigError, match="EI_API_KEY holds no API key") as caught:
        Client(key)
    assert not key or key not in str(caught.value)


def test_the_key_is_not_sent_in_the_clear():
    with pytest.raises(ConfigError, match="https"):
        Client(KEY, "http://studio.example.com/v1")


def test_the_environment(monkeypatch):
    monkeypatch.delenv("EI_API_KEY", raising=False)
    with pytest.raises(ConfigError, match="set EI_API_KEY"):
        from_environment()
    monkeypatch.setenv("EI_API_KEY", f" {KEY}\n")
    monkeypatch.delenv("EI_API_ENDPOINT", raising=False)
    assert from_environment().endpoint == "https://studio.edgeimpulse.com/v1"
    monkeypatch.setenv("EI_API_ENDPOINT", "https://ei.example.com/v1")
    assert from_environment().endpoint == "https://ei.example.com/v1"


def test_without_the_sdk_it_says_how_to_install_it(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "edgeimpulse_api", None)
    with pytest.raises(ConfigError, match=r'pip install "kws-dendrite\[edge-impulse\]"'):
        Client(KEY)


@pytest.mark.parametrize(
    ("device", "core"),
    [
        ("cortex-m4f-80mhz", ("cortex-m4", 80)),
        ("cortex-m7-216mhz", ("cortex-m7", 216)),
        ("arduino-nano-33-ble", ("cortex-m4", 64)),
        ("cortex-m0p-133mhz", None),
        ("espressif-esp32", None),
    ],
)
def test_devices_and_cores(device, core):
    assert core_of(device) == core


def test_every_error_is_the_users():
    assert issubclass(ServiceError, KwsDendriteError)
