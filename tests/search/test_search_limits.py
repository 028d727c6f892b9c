from dataclasses import replace

import pytest
from test_search_proposal import ground, proposals

from kws_dendrite.errors import ConfigError
from kws_dendrite.plain import cost
from kws_dendrite.plain.device import predict
from kws_dendrite.search import DEFAULT, Limits, parse_objective
from kws_dendrite.search.frontend_cost import frontend_costs
from kws_dendrite.search.limits import costs_of, fitted, proposal_graph, why_over
from kws_dendrite.search.untrained import cheapest_dendrite, largest_graph, parameters_of

COSTS = {"parameters": 1500, "macs": 80_000, "flash": 20_000, "ram": 9120, "latency_ms": 7.5}


def one(arm: str = "plain", seed: int = 0):
    return next(proposals(DEFAULT, arm, ground(), 1, seed))


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        (Limits(), None),
        (Limits(max_params=1500, max_macs=80_000, max_flash=20_000, max_ram=9120, max_latency=7.5, mhz=80.0), None),
        (Limits(max_params=1499), "parameter count 1,500 is over --max-params 1,499"),
        (Limits(max_macs=79_999), "MAC count 80,000 is over --max-macs 79,999"),
        (Limits.parse(max_flash="16k"), "flash 20,000 B is over --max-flash 16,384 B"),
        (Limits.parse(max_ram="8k"), "RAM 9,120 B is over --max-ram 8,192 B"),
        (Limits.parse(max_latency="7ms@cortex-m4@80"), "latency 7.5 ms is over --max-latency 7 ms"),
        (Limits(max_params=1, max_ram=1), "parameter count 1,500 is over --max-params 1"),
    ],
)
def test_a_broken_limit_is_one_clause(limits, says):
    assert limits.broken_by(COSTS) == says


def test_a_cost_that_was_not_counted_is_no_excuse():
    with pytest.raises(ConfigError, match="--max-latency is about latency, which was not counted"):
        Limits.parse(max_latency="7ms@cortex-m4@80").broken_by({"parameters": 3})


def test_limits_from_a_command_line():
    objective = parse_objective("latency:cortex-m4@16")
    limits = Limits.parse("2k", "0.5M", "64k", "8k", "20ms", objective)
    assert limits == Limits(2000, 500_000, 65_536, 8192, 20.0, "cortex-m4", 16.0)
    assert limits and not Limits() and Limits().to_json() == {}
    assert limits.to_json()["max_ram"] == 8192 and limits.to_json()["core"] == "cortex-m4"
    assert Limits.parse(max_latency="20ms@cortex-m4@80", objective=parse_objective("params")).mhz == 80
    assert Limits.parse(max_flash="64k", objective=parse_objective("flash:cortex-m55")).core == "cortex-m55"


@pytest.mark.parametrize(
    ("settings", "objective", "says"),
    [
        ({"max_latency": "20ms@cortex-m7@216"}, "params", "a model of cycles for cortex-m4 alone, so no --max-latency"),
        ({"max_latency": "20ms"}, "flash:cortex-m55", "so no --max-latency on cortex-m55"),
        ({"max_latency": "20ms"}, "params", "--max-latency needs a clock, as in 20ms@cortex-m4@80"),
        ({"max_latency": "20ms@cortex-m4@80"}, "instructions:cortex-m7", "one search has one core"),
        ({"max_latency": "20ms@cortex-m4@80"}, "latency:cortex-m4@64", "64 MHz, --max-latency at 80: one"),
        ({"max_latency": "20ms@cortex-m9@80"}, "params", "costs are known for"),
        ({"max_ram": "8x"}, "params", "--max-ram is a number"),
        ({"max_params": "0"}, "params", "--max-params is a number of at least 1"),
    ],
)
def test_a_limit_that_cannot_be_is_one_line(settings, objective, says):
    with pytest.raises(ConfigError) as caught:
        Limits.parse(**settings, objective=parse_objective(objective))
    assert says in str(caught.value) and "\n" not in str(caught.value)


def test_costs_are_those_of_the_folded_net():
    graph = proposal_graph(one("gradient"))
    counted, device = cost(graph), predict(graph, "cortex-m4")
    assert costs_of(graph) == {
        "parameters": counted.parameters, "macs": counted.macs, "flash": device.flash_bytes, "ram": device.ram_bytes,
        "instructions": round(device.instructions),
    }  # fmt: skip
    objective = parse_objective("latency:cortex-m4@80")
    assert costs_of(graph, objective=objective)["latency_ms"] == pytest.approx(device.latency_ms(80))
    assert costs_of(graph, limits=Limits.parse(max_latency="1s@cortex-m4@40"))["latency_ms"] == pytest.approx(
        device.latency_ms(40)
    )
    m55 = costs_of(graph, objective=parse_objective("instructions:cortex-m55"))
    assert m55["instructions"] == round(predict(graph, "cortex-m55").instructions) and "latency_ms" not in m55
    for text in ("params", "macs", "flash:cortex-m4", "ram", "instructions:cortex-m4", "latency:cortex-m4@80"):
        held = parse_objective(text)
        assert held.value(costs_of(graph, objective=held)) == held.measure(graph)


def test_the_front_end_counts_where_it_is_asked_for():
    proposal = one()
    graph = proposal_graph(proposal)
    alone = parse_objective("latency:cortex-m4@80")
    both = parse_objective("latency:cortex-m4@80+frontend")
    net, device = costs_of(graph, proposal.frontend, alone), costs_of(graph, proposal.frontend, both)
    assert net == costs_of(graph, None, both)
    features = frontend_costs(proposal.frontend, 49, "cortex-m4")
    own = {
        "flash": features.flash_bytes, "ram": features.ram_bytes, "instructions": round(features.instructions),
        "latency_ms": round(features.cycles / 80e3, 6),
    }  # fmt: skip
    assert {name: device[f"frontend_{name}"] for name in own} == own
    assert {name: device[name] for name in net} == {name: value + own.get(name, 0) for name, value in net.items()}
    assert device["frontend_instructions"] > net["instructions"]  # on the device the front end costs more than the net
    assert both.value(device) == device["latency_ms"]
    limit = Limits(max_ram=int(net["ram"]))
    assert why_over(proposal, limit, alone) is None
    assert why_over(proposal, limit, both).startswith(f"RAM {device['ram']:,} B is over --max-ram")


@pytest.mark.parametrize("arm", ["plain", "gradient", "perforated", "growth"])
def test_a_proposal_is_judged_with_all_the_dendrites_that_it_could_grow(arm):
    for seed in range(4):
        proposal = one(arm, seed)
        most = cost(proposal_graph(proposal)).parameters
        if arm == "growth":
            most += proposal.growth.budget * proposal.growth.dendrites
        elif arm != "plain":
            assert most > parameters_of(proposal.model)
        assert why_over(proposal, Limits(max_params=most)) is None
        assert why_over(proposal, Limits(max_params=most - 1)) == (
            f"parameter count {most:,} is over --max-params {most - 1:,}"
        )
    assert why_over(proposal, Limits()) is None


def test_growth_shares_what_the_limit_leaves():
    for seed in range(4):
        proposal = one("growth", seed)
        growth, own = proposal.growth, parameters_of(proposal.model)
        least = cheapest_dendrite(proposal.model, growth)
        for room in (least, 2 * least + 1, own, 10 * own):
            limits = Limits(max_params=own + room)
            within = fitted(proposal, limits)
            assert within.growth.budget * within.growth.dendrites <= room and within.growth.budget >= least
            assert within.growth.dendrites <= growth.dendrites and why_over(within, limits) is None
            assert replace(within, growth=growth) == proposal
        assert "is over --max-params" in why_over(fitted(proposal, Limits(max_params=own)), Limits(max_params=own))
        assert fitted(proposal, Limits(max_ram=9)) == proposal
    plain = one()
    assert fitted(plain, Limits(max_params=5)) == plain


def test_no_budget_at_all_gets_one_from_the_limit():
    proposal = one("growth")
    free = replace(proposal, growth=replace(proposal.growth, budget=0))
    own = cost(largest_graph(free.model)).parameters
    within = fitted(free, Limits(max_params=own + 10 * cheapest_dendrite(free.model, free.growth)))
    assert 0 < within.growth.budget * within.growth.dendrites <= 10 * cheapest_dendrite(free.model, free.growth)
