from kws_dendrite.search.differences import differences, rule_option


def test_what_differs_is_named_with_what_it_was_and_is_where_that_is_short():
    before = {"seed": 1, "recipe": {"epochs": 40, "kind": "a"}, "space": {"model": {"x": [1] * 99}}, "old": "b"}
    here = {"seed": 2, "recipe": {"epochs": 8, "kind": "a"}, "space": {"model": {"x": [2] * 99}}, "limits": {}}
    short = ["seed (1, here 2)", "recipe epochs (40, here 8)"]
    assert differences(before, here) == [*short, "space model", "limits", "old"]
    assert differences({"labels": ["a", "b"]}, {"labels": ["a"]}) == ['labels (["a", "b"], here ["a"])']
    assert differences({"data": "0" * 64}, {"data": "1" * 64}) == ["data"]
    assert differences(before, before) == []


def test_the_rule_that_follows_from_the_arms_is_told():
    stops, not_ = {"stopping": {"hopeless": True}}, {"stopping": {"hopeless": False}}
    assert rule_option(stops, not_) == " (--stop-hopeless)"
    assert rule_option(not_, stops) == " (--no-stop-hopeless)"
    assert rule_option(stops, stops) == rule_option({}, stops) == ""
