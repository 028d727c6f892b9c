import numpy as np
import pytest
from golden_vectors import noise

from kws_dendrite.errors import OutputError
from kws_dendrite.frontend import FeatureCache, LogMelConfig, MfccConfig, compute
from kws_dendrite.frontend.cache import entry_name

SIGNALS = np.stack([noise(1600, seed) for seed in range(3)])


class Counted:
    """compute over a batch, counting its calls."""

    def __init__(self):
        self.calls = 0

    def __call__(self, signals, config):
        self.calls += 1
        return np.stack([compute(signal, config) for signal in signals])


def test_second_time_comes_from_disk(tmp_path):
    run, cache = Counted(), FeatureCache(tmp_path / "cache")
    first = cache.get(SIGNALS, MfccConfig(), run)
    second = FeatureCache(tmp_path / "cache").get(SIGNALS, MfccConfig(), run)
    assert run.calls == 1
    assert first.dtype == second.dtype == np.float32
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(first, run(SIGNALS, MfccConfig()))


def test_anything_else_is_another_entry(tmp_path):
    run, cache = Counted(), FeatureCache(tmp_path)
    other = SIGNALS.copy()
    other[2, 1599] += 1
    cache.get(SIGNALS, MfccConfig(), run)
    cache.get(other, MfccConfig(), run)
    cache.get(SIGNALS[:2], MfccConfig(), run)
    cache.get(SIGNALS, MfccConfig(num_filters=30), run)
    cache.get(SIGNALS, LogMelConfig(), run)
    cache.get(SIGNALS, MfccConfig(), run, extra="gain")
    half = cache.get(SIGNALS, MfccConfig(), run, dtype=np.float16)
    assert half.dtype == np.float16
    assert run.calls == 7
    assert len(cache.entries()) == 7


def test_name_is_of_the_content_not_the_memory_layout():
    assert entry_name(SIGNALS, MfccConfig(), np.float32) == entry_name(
        np.asfortranarray(SIGNALS), MfccConfig(), np.float32
    )
    assert entry_name(SIGNALS.reshape(1, -1), MfccConfig(), np.float32) != entry_name(SIGNALS, MfccConfig(), np.float32)


def damage_truncate(content):
    return content[: len(content) // 2]


def damage_flip(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def damage_header(content):
    return content[:12] + b"((((" + content[16:]


@pytest.mark.parametrize(
    "damage",
    [
        damage_truncate,
        damage_flip,
        damage_header,
        lambda content: b"",
        lambda content: b"not an array",
        lambda content: content[:-1],
        lambda content: content + b"x",
        lambda content: b"PK\x03\x04" + content,
    ],
)
def test_damaged_entries_are_computed_anew(tmp_path, damage):
    run, cache = Counted(), FeatureCache(tmp_path)
    expected = cache.get(SIGNALS, MfccConfig(), run)
    (path,) = cache.entries()
    intact = path.read_bytes()
    path.write_bytes(damage(intact))
    np.testing.assert_array_equal(cache.get(SIGNALS, MfccConfig(), run), expected)
    assert run.calls == 2
    assert path.read_bytes() == intact


def test_pickles_are_not_read(tmp_path):
    run, cache = Counted(), FeatureCache(tmp_path)
    cache.get(SIGNALS, MfccConfig(), run)
    (path,) = cache.entries()
    with path.open("wb") as file:
        np.save(file, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    cache.get(SIGNALS, MfccConfig(), run)
    assert run.calls == 2


def test_entries_open_with_numpy(tmp_path):
    cache = FeatureCache(tmp_path)
    expected = cache.get(SIGNALS, MfccConfig(), Counted())
    np.testing.assert_array_equal(np.load(cache.entries()[0], allow_pickle=False), expected)


def test_folder_explains_itself_and_clears(tmp_path):
    folder = tmp_path / "deep" / "cache"
    cache = FeatureCache(folder)
    assert cache.size() == 0
    assert not folder.exists()
    cache.get(SIGNALS, MfccConfig(), Counted())
    assert "delete" in (folder / "README.txt").read_text()
    assert cache.size() == sum(path.stat().st_size for path in folder.glob("*.npy")) > 0
    assert cache.clear() > 0
    assert not folder.exists()
    assert cache.clear() == 0


def test_clear_leaves_other_files(tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    (tmp_path / "mine.npy").write_bytes(b"keep")
    cache = FeatureCache(tmp_path)
    cache.get(SIGNALS, MfccConfig(), Counted())
    cache.clear()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.npy", "mine.txt"]


def test_clear_takes_what_a_killed_run_left(tmp_path):
    cache = FeatureCache(tmp_path / "cache")
    cache.get(SIGNALS, MfccConfig(), Counted())
    (cache.folder / f".{cache.entries()[0].name}.k2j_x1.npy").write_bytes(b"half")
    cache.clear()
    assert not cache.folder.exists()


def test_failed_computation_leaves_nothing(tmp_path):
    def fail(signals, config):
        raise RuntimeError("no")

    cache = FeatureCache(tmp_path / "cache")
    with pytest.raises(RuntimeError):
        cache.get(SIGNALS, MfccConfig(), fail)
    assert not (tmp_path / "cache").exists()


def test_file_in_place_of_the_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="is a file"):
        FeatureCache(tmp_path / "file")


def test_no_clips(tmp_path):
    cache = FeatureCache(tmp_path)
    for _ in range(2):
        features = cache.get(SIGNALS[:0], MfccConfig(), lambda signals, config: np.zeros((0, 5, 13), np.float32))
        assert features.shape == (0, 5, 13)
