"""Parameter count against accuracy: space, study, front."""

from kws_dendrite.search.front import TrialResult, pareto_front, pick, write_front_csv
from kws_dendrite.search.space import ARMS, Space
from kws_dendrite.search.study import Search, SearchConfig

__all__ = ["ARMS", "Search", "SearchConfig", "Space", "TrialResult", "pareto_front", "pick", "write_front_csv"]
