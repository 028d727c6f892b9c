import json
from dataclasses import replace

import pytest
from test_search_study import CONFIG, bank, quick, search, timeless  # noqa: F401

from kws_dendrite.errors import ConfigError
from kws_dendrite.fold import fold
from kws_dendrite.models import build_model, config_from_json
from kws_dendrite.plain import cost
from kws_dendrite.plain.device import CORES, predict
from kws_dendrite.search import Objective, parse_objective, write_front_csv
from kws_dendrite.search.untrained import largest_graph

LATENCY = parse_objective("latency:cortex-m4@80")


def folded(result):
    return fold(build_model(config_from_json(result.architecture), 1, CONFIG.seed))


@pytest.mark.parametrize(
    "text",
    ["params", "macs", "flash:cortex-m4", "flash:cortex-m55", "ram", "latency:cortex-m4@80", "latency:cortex-m4@16.5",
     *(f"instructions:{core}" for core in CORES)],
)  # fmt: skip
def test_a_name_is_the_objective_that_it_names(text):
    assert parse_objective(text).name == text
    assert parse_objective(f" {text} ") == parse_objective(text)


def test_flash_is_of_a_core_without_being_told():
    assert parse_objective("flash") == parse_objective("flash:cortex-m4")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("latancy:cortex-m4@80", "did you mean latency?"),
        ("flops", "did you mean flash?"),
        ("", "is one of params, macs"),
        ("params:cortex-m4", "params is the same on every core"),
        ("ram:cortex-m4", "ram is the same on every core"),
        ("latency:cortex-m5@80", "did you mean cortex-m55?"),
        ("latency", "needs a core"),
        ("latency:cortex-m4", "needs a clock in MHz"),
        ("latency:cortex-m4@", "needs a clock in MHz"),
        ("latency:cortex-m4@fast", "needs a clock in MHz"),
        ("latency:cortex-m4@0", "needs a clock in MHz"),
        ("latency:cortex-m4@inf", "needs a clock in MHz"),
        ("latency:cortex-m7@216", "take instructions:cortex-m7"),
        ("instructions", "needs a core"),
        ("instructions:cortex-m4@80", "did you mean latency:cortex-m4@80?"),
        ("flash:m4", "did you mean cortex-m4?"),
    ],
)
def test_a_wrong_name_says_what_is_right(text, says):
    with pytest.raises(ConfigError) as caught:
        parse_objective(text)
    assert says in str(caught.value) and "\n" not in str(caught.value)


def test_each_measures_what_it_says(tmp_path, quick):  # noqa: F811
    graph = folded(search(tmp_path, replace(CONFIG, trials=1, arms=("plain",))).run()[0])
    counted, device = cost(graph), predict(graph, "cortex-m4")
    assert parse_objective("params").measure(graph) == counted.parameters
    assert parse_objective("macs").measure(graph) == counted.macs
    assert parse_objective("flash").measure(graph) == device.flash_bytes
    assert parse_objective("ram").measure(graph) == device.ram_bytes
    assert parse_objective("instructions:cortex-m4").measure(graph) == round(device.instructions)
    assert LATENCY.measure(graph) == pytest.approx(device.cycles / 80e3, abs=1e-6)
    faster = parse_objective("latency:cortex-m4@160")
    assert faster.measure(graph) == pytest.approx(LATENCY.measure(graph) / 2, abs=1e-6)


def test_a_search_holds_the_objective_against_accuracy(tmp_path):
    config = replace(CONFIG, trials=2, arms=("plain",), objective=LATENCY)
    study = search(tmp_path, config)
    results = study.run()
    for result in results:
        graph = largest_graph(config_from_json(result.architecture))
        assert result.parameters == cost(graph).parameters
        assert result.size == result.points[-1].costs["latency_ms"] == pytest.approx(LATENCY.measure(graph), rel=0.05)
        assert result.to_json()["objective"] == {
            "name": "latency:cortex-m4@80", "label": "Latency on cortex-m4 at 80 MHz, ms", "value": result.size
        }  # fmt: skip
    assert {trial.values[1] for trial in study.studies["plain"].trials} == {result.size for result in results}
    again = search(tmp_path, config)
    assert timeless(again.results()) == timeless(results)
    write_front_csv(tmp_path / "front.csv", results)
    assert "latency:cortex-m4@80" in (tmp_path / "front.csv").read_text().splitlines()[0].split(",")


def test_of_parameters_nothing_is_written_that_was_not_before(tmp_path, quick):  # noqa: F811
    study = search(tmp_path)
    results = study.run()
    assert all("objective" not in result.to_json() for result in results)
    assert "objective" not in study.studies["plain"].user_attrs["made_of"]
    assert all("parameters" not in trial.user_attrs for trial in study.studies["plain"].trials)
    assert [trial.values[1] for trial in study.studies["plain"].trials] == [
        result.parameters for result in results if result.arm == "plain"
    ]


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ("params", "latency:cortex-m4@80"),
        ("latency:cortex-m4@80", "params"),
        ("latency:cortex-m4@80", "latency:cortex-m4@160"),
        ("macs", "ram"),
    ],
)
def test_another_objective_is_refused_by_name(tmp_path, quick, first, then):  # noqa: F811
    search(tmp_path, replace(CONFIG, trials=1, objective=parse_objective(first))).run()
    with pytest.raises(ConfigError, match=f"started with --objective {first}, not {then}; resume it with the same"):
        search(tmp_path, replace(CONFIG, trials=1, objective=parse_objective(then)))


def test_other_costs_of_the_core_are_refused_by_name(tmp_path, quick, monkeypatch):  # noqa: F811
    config = replace(CONFIG, trials=1, objective=LATENCY)
    search(tmp_path, config).run()
    monkeypatch.setattr(Objective, "made_of", lambda self: {"objective": self.name, "device costs": "another"})
    with pytest.raises(ConfigError, match="started with another device costs"):
        search(tmp_path, config)


def test_the_settings_are_json():
    assert json.loads(json.dumps(LATENCY.made_of())) == LATENCY.made_of()


def test_accuracy_or_loss_is_maximised():
    assert parse_objective("params").merit(0.9, 0.3) == 0.9
    assert parse_objective("params", "loss").merit(0.9, 0.3) == -0.3
    assert "maximise" not in LATENCY.made_of()
    assert parse_objective("params", "loss").made_of() == {"maximise": "loss"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("acuracy", "did you mean accuracy?"),
        ("miss-rate", "there is no evaluation on continuous audio yet, so no miss rate"),
        ("miss_rate@1", "take accuracy or loss"),
        ("", "--maximise is accuracy or loss"),
    ],
)
def test_what_cannot_be_maximised_says_what_can(text, says):
    for make in (lambda: parse_objective("params", text), lambda: Objective(maximise=text)):
        with pytest.raises(ConfigError) as caught:
            make()
        assert says in str(caught.value) and "\n" not in str(caught.value)


def test_the_front_end_behind_a_plus():
    counted = parse_objective("latency:cortex-m4@80+frontend")
    assert counted == replace(LATENCY, frontend=True) and parse_objective(counted.name) == counted
    assert counted.label == "Latency on cortex-m4 at 80 MHz, ms, front end included"
    assert counted.made_of() != LATENCY.made_of()
    assert parse_objective("params+frontend").made_of() == {"objective": "params+frontend"}
    assert (
        LATENCY.counting(True) == counted and LATENCY.counting(False) == LATENCY and counted.counting(False) == counted
    )
    with pytest.raises(ConfigError, match=r"what stands behind an objective is \+frontend"):
        parse_objective("ram+fronted")
