"""Size against accuracy: space, objective, study, front."""

from kws_dendrite.search.front import TrialResult, pareto_front, pick, write_front_csv
from kws_dendrite.search.objective import Objective, parse_objective
from kws_dendrite.search.space import ARMS, Space
from kws_dendrite.search.study import Search, SearchConfig

__all__ = [
    "ARMS", "Objective", "Search", "SearchConfig", "Space", "TrialResult", "pareto_front", "parse_objective", "pick",
    "write_front_csv",
]  # fmt: skip
