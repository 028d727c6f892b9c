import pytest
from command_line import TINY, succeed, write_arrays, write_speech


@pytest.fixture(scope="session")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("command_line")


@pytest.fixture(scope="session")
def speech(place):
    """Tones laid out as Speech Commands; read only."""
    return write_speech(place / "speech")


@pytest.fixture(scope="session")
def cache(place):
    return place / "cache"


@pytest.fixture(scope="session")
def trained(place, speech, cache):
    """A checkpoint of two seeds with gradient dendrites; read only."""
    folder = place / "trained"
    succeed(
        "train", speech, "--out", folder, "--cache", cache, "--keywords", "yes,no", "--dendrites", "gradient", *TINY
    )
    return folder


@pytest.fixture(scope="session")
def finished(place, speech, cache):
    """(folder, outcome) of a whole run, as small as it gets; read only."""
    folder = place / "finished"
    outcome = succeed(
        "run", "--data", speech, "--out", folder, "--cache", cache, "--keywords", "yes,no", "--copies", "1", "--json",
        "--trials", "1", "--arms", "plain,gradient", "--search-epochs", "3", "--epochs", "3", "--members", "2",
        "--max-params", "100000",
    )  # fmt: skip
    return folder, outcome


@pytest.fixture(scope="session")
def arrays(place):
    """An Edge Impulse learning block's data directory; read only."""
    return write_arrays(place / "arrays")


@pytest.fixture(scope="session")
def trained_on_arrays(place, arrays):
    folder = place / "trained_on_arrays"
    succeed("train", arrays, "--out", folder, *TINY)
    return folder
