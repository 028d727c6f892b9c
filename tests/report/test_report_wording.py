import pytest

from kws_dendrite.report import wording


@pytest.mark.parametrize(("got", "expected"), [
    (wording.percent(0.91237), "91.2 %"), (wording.percent(None), "–"), (wording.percent(1), "100.0 %"),
    (wording.percent_range((0.885, 0.962)), "88.5 to 96.2 %"),
    (wording.percent_range((0.964, 0.964)), "seeds alike"), (wording.count(1392), "1,392"),
    (wording.size(9412), "9,412 B"), (wording.size(95_116), "95.1 kB"), (wording.small(3.1e-7), "3.1e-07"),
    (wording.small(0), "0"), (wording.microseconds(412.34), "412 µs"), (wording.microseconds(4123), "4.12 ms"),
    (wording.duration(9.61), "9.6 s"), (wording.duration(75), "1 min 15 s"), (wording.duration(7300), "2 h 1 min"),
    (wording.plain(True), "yes"), (wording.plain([1, 0.5, None]), "1, 0.5, –"), (wording.plain(16000), "16,000"),
    (wording.plain({"a": 1}), "a 1"), (wording.plain([]), "–"), (wording.title("noise_floor_db"), "noise floor db"),
    (wording.title("_unknown_"), "unknown"), (wording.title("model_int8.onnx"), "model_int8.onnx"),
])  # fmt: skip
def test_words(got, expected):
    assert got == expected
