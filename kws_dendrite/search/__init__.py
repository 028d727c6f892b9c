"""Size against accuracy: space, objective, study, front."""

from kws_dendrite.search.config import SearchConfig
from kws_dendrite.search.front import TrialResult, pareto_front, pick, write_front_csv
from kws_dendrite.search.limits import Limits
from kws_dendrite.search.objective import Objective, parse_objective
from kws_dendrite.search.proposal import Ground, Proposal
from kws_dendrite.search.space import ARMS, Choice, Range, Space
from kws_dendrite.search.spaces import DEFAULT, PAPER, SPACES, WIDE, named_space
from kws_dendrite.search.study import Search

__all__ = [
    "ARMS", "DEFAULT", "PAPER", "SPACES", "WIDE", "Choice", "Ground", "Limits", "Objective", "Proposal", "Range",
    "Search", "SearchConfig", "Space", "TrialResult", "named_space", "pareto_front", "parse_objective", "pick",
    "write_front_csv",
]  # fmt: skip
