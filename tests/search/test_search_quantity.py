import pytest

from kws_dendrite.errors import ConfigError
from kws_dendrite.search.quantity import parse_latency, parse_size


@pytest.mark.parametrize(
    ("text", "thousand", "value"),
    [
        ("2000", 1000, 2000), (2000, 1000, 2000), (" 2,000 ", 1000, 2000), ("2_000", 1000, 2000), ("8k", 1000, 8000),
        ("8k", 1024, 8192), ("64K", 1024, 65536), ("64kB", 1024, 65536), ("64 KiB", 1024, 65536), ("8192B", 1024, 8192),
        ("0.5M", 1000, 500_000), ("1m", 1024, 1 << 20), (None, 1024, None),
    ],
)  # fmt: skip
def test_sizes(text, thousand, value):
    assert parse_size(text, "--max-ram", thousand) == value


@pytest.mark.parametrize("text", ["", "k", "0", "-3", "8kk", "8g", "nan", "1e3", "8 k 3", "1.2.3", "0,5M", 0, -1])
def test_a_wrong_size_says_what_is_right(text):
    with pytest.raises(ConfigError, match=r"--max-ram is a number of at least 1, such as 2000, 8k or 0\.5M; got"):
        parse_size(text, "--max-ram", 1024)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("20ms@cortex-m4@80", (20.0, "cortex-m4", 80.0)), ("20ms", (20.0, "", 0.0)), ("20", (20.0, "", 0.0)),
        ("0.5s", (500.0, "", 0.0)), ("500us@cortex-m4", (0.5, "cortex-m4", 0.0)),
        ("20 ms@Cortex-M4@16.5MHz", (20.0, "cortex-m4", 16.5)),
    ],
)  # fmt: skip
def test_latencies(text, value):
    assert parse_latency(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "ms", "0ms", "-1ms", "20m", "cortex-m4@80", "20ms@cortex-m4@fast", "20ms@@80"])
def test_a_wrong_latency_says_what_is_right(text):
    with pytest.raises(ConfigError, match="--max-latency is a time, such as 20ms or 20ms@cortex-m4@80"):
        parse_latency(text)
