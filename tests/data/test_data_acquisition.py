import json

import cbor2
import numpy as np
import pytest
from clip_folders import RATE, edge_impulse, tone, write

from kws_dendrite.data import acquisition, load_dataset, read_audio, read_signals
from kws_dendrite.data.acquisition import read_acquisition
from kws_dendrite.data.audio import probe_audio
from kws_dendrite.errors import DataError

SENSOR = {"name": "audio", "units": "wav"}


def acquired(values, interval=0.0625, sensors=(SENSOR,)):
    """As Edge Impulse's "Data acquisition format" has it."""
    payload = {"device_type": "TEST", "interval_ms": interval, "sensors": list(sensors), "values": values}
    return {"protected": {"ver": "v1", "alg": "none"}, "signature": "0" * 64, "payload": payload}


def store(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cbor2.dumps(value) if path.suffix == ".cbor" else json.dumps(value).encode())
    return path


@pytest.mark.parametrize("suffix", [".cbor", ".json"])
@pytest.mark.parametrize("rows", [False, True])
def test_samples_come_back_as_they_are(tmp_path, suffix, rows):
    samples = np.r_[tone(0.1), np.int16(-32768), np.int16(32767)]
    values = [[int(value)] for value in samples] if rows else samples.tolist()
    path = store(tmp_path / f"yes.1{suffix}", acquired(values))
    assert np.array_equal(read_audio(path, RATE), samples)
    assert probe_audio(path) == len(samples) / RATE


def test_the_audio_sensor_is_found_among_others(tmp_path):
    samples = tone(0.1)
    values = [[0.5, int(value), 9.81] for value in samples]
    sensors = [{"name": "accX", "units": "m/s2"}, SENSOR, {"name": "accY", "units": "m/s2"}]
    path = store(tmp_path / "x.cbor", acquired(values, sensors=sensors))
    assert np.array_equal(read_audio(path, RATE), samples)


@pytest.mark.parametrize(("interval", "rate"), [(0.125, 8000), ("8000Hz", 8000), (0.09070294784580499, 11025)])
def test_other_rates_are_resampled_as_a_wav_is(tmp_path, interval, rate):
    samples = tone(0.5, rate=rate)
    path = store(tmp_path / "x.json", acquired(samples.tolist(), interval))
    assert read_acquisition(path)[1] == rate
    assert np.array_equal(read_audio(path, RATE), read_audio(write(tmp_path / "x.wav", samples, rate), RATE))


@pytest.mark.parametrize("where", ["root", "split", "names"])
@pytest.mark.parametrize("suffix", [".cbor", ".json"])
def test_an_export_of_acquisitions_is_the_export_of_its_wavs(tmp_path, where, suffix):
    wavs, others = edge_impulse(tmp_path / "wavs", where), edge_impulse(tmp_path / "others", where)
    for path in sorted(others.rglob("*.wav")):
        store(path.with_suffix(suffix), acquired(read_audio(path, RATE).tolist()))
        path.unlink()
    for info in others.rglob("info.labels"):
        info.write_text(info.read_text().replace(".wav", suffix))
    first, second = load_dataset(wavs), load_dataset(others)
    assert first.labels == second.labels
    parts = [{clip.name.split(".")[-2]: clip.partition for clip in dataset.clips} for dataset in (first, second)]
    assert parts[0].keys() == parts[1].keys()
    for partition in ("train", "validation", "test"):
        assert second.partition(partition)
    tested = [read_signals(dataset, "test") for dataset in (first, second)]
    # dither is drawn by name, and the names differ by their suffix
    assert np.abs(tested[0].samples.astype(int) - tested[1].samples).max() <= 2


def _shared_rows():
    row = list(range(64))
    return cbor2.dumps(
        acquired([row] * 1000, sensors=[{"name": f"s{i}", "units": "m"} for i in range(64)]), value_sharing=True
    )


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("x.cbor", b"", "no readable CBOR"),
        ("x.json", b"", "no readable JSON"),
        ("x.json", b"[" * 100_000, "no readable JSON"),
        ("x.json", b"9" * 10_000, "no readable JSON"),
        ("x.json", b"\xff\xfe\x00", "no readable JSON"),
        ("x.json", b"[1, 2]", "has no payload"),
        ("x.cbor", b"\x81" * 1_000_000, "no readable CBOR"),
        ("x.cbor", b"\x9b\x00\x00\x00\x00\x7f\xff\xff\xff", "no readable CBOR"),  # two thousand million values
        ("x.cbor", b"\x5b\x00\x00\x00\x7f\xff\xff\xff\xffabc", "no readable CBOR"),
        ("x.cbor", b"\xbb\x00\x00\x00\x7f\xff\xff\xff\xff", "no readable CBOR"),
        ("x.cbor", b"\xc4\x82\x1b\x7f\xff\xff\xff\xff\xff\xff\xff\x01", "no readable CBOR"),
        ("x.cbor", cbor2.dumps(acquired(list(range(100))))[:-5], "no readable CBOR"),
        ("x.cbor", _shared_rows(), "no audio"),
        ("x.cbor", cbor2.dumps(acquired([1 << 4000] * 4)), "beyond int16"),
        ("x.json", json.dumps(acquired([1, 2, "3"])).encode(), "no numbers"),
        ("x.json", json.dumps(acquired([1, None])).encode(), "no numbers"),
        ("x.json", json.dumps(acquired([1, True])).encode(), "no numbers"),
        ("x.json", json.dumps(acquired([[1, 2], [3, 4]])).encode(), "do not fit its 1 sensor"),
        ("x.json", json.dumps(acquired([1, [2]])).encode(), "do not fit its 1 sensor"),
        ("x.json", json.dumps(acquired([0.5, -0.25])).encode(), "scaled to"),
        ("x.json", json.dumps(acquired([40000])).encode(), "int16 steps"),
        ("x.json", json.dumps(acquired([float("nan"), 3])).encode(), "int16 steps"),
        ("x.json", json.dumps(acquired([])).encode(), "no samples"),
        ("x.json", json.dumps(acquired({"a": 1})).encode(), "no list of values"),
        ("x.json", json.dumps(acquired(["Ref-BINARY-i16 (32000 bytes) 3f"])).encode(), "attachment"),
        ("x.json", json.dumps(acquired([1], interval=0)).encode(), "interval_ms"),
        ("x.json", json.dumps(acquired([1], interval="soon")).encode(), "interval_ms"),
        ("x.json", json.dumps(acquired([1], interval=10)).encode(), "is it audio"),
        ("x.json", json.dumps(acquired([[1]], sensors=[{"name": "accX", "units": "m/s2"}])).encode(), "accX"),
        ("x.json", json.dumps(acquired([1], sensors=[])).encode(), "names no sensors"),
        ("x.json", json.dumps(acquired([[1, 1]], sensors=[SENSOR, SENSOR])).encode(), "2 audio sensors"),
    ],
)
def test_a_hostile_file_gives_one_clear_line(tmp_path, name, content, says):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=says) as caught:
        read_audio(path, RATE)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300 + len(str(path))


def test_a_file_too_large_is_not_read(tmp_path, monkeypatch):
    path = store(tmp_path / "x.cbor", acquired([1] * 100))
    monkeypatch.setattr(acquisition, "MOST_BYTES", 50)
    monkeypatch.setattr(type(path), "read_bytes", lambda self: pytest.fail("read"))
    with pytest.raises(DataError, match="export the sample as WAV"):
        read_acquisition(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"gone\.cbor does not exist"):
        read_acquisition(tmp_path / "gone.cbor")
