import numpy as np
import pytest
from run_folder import make_run_folder


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def run_folder(tmp_path):
    return make_run_folder(tmp_path / "run")
