"""Every captured layer has its node in the folded graph, and the same values."""

import numpy as np
import pytest
import torch

from kws_dendrite.dendrites import DendriteConfig, attach, draw_candidates, insert
from kws_dendrite.fold import fold
from kws_dendrite.layer_outputs import layer_outputs
from kws_dendrite.models import EdgeImpulse1dConfig, PaperConfig, SeparableConfig, build_model
from kws_dendrite.plain import node_outputs

FAMILIES = [
    SeparableConfig(20, 8, 4, channels=6, kernel=5),
    EdgeImpulse1dConfig(20, 8, 4),
    PaperConfig(24, 8, 4),
]


@pytest.mark.parametrize("config", FAMILIES, ids=lambda config: config.family)
@pytest.mark.parametrize("grown", [False, True])
def test_layers_are_the_graphs_nodes(config, grown):
    model = build_model(config, 2, seed=1)
    x = torch.randn(5, config.frames, config.coefficients, generator=torch.Generator().manual_seed(0))
    model.train()
    model(x)  # BatchNorm has statistics to fold
    if grown:
        attach(model, DendriteConfig())
        insert(model, draw_candidates(model, x.expand(2, *x.shape), torch.Generator()), None, frozen=False)
    model.eval()
    nodes = node_outputs(fold(model, 1), x.reshape(5, -1).numpy())
    found = layer_outputs(model, x, 1)
    assert set(found) <= set(nodes)
    assert len(found) == (2 if grown else 1) * (3 if config.family == "edge_impulse_1d" else 4)
    for name, value in found.items():
        np.testing.assert_allclose(value, nodes[name], rtol=1e-4, atol=1e-5, err_msg=name)


def test_training_mode_is_put_back():
    model = build_model(FAMILIES[0], 1).train()
    layer_outputs(model, torch.randn(2, 20, 8), 0)
    assert model.training
