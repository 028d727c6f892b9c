"""Whole models that the cost table has not seen: golden files, the project's families, with dendrites and without."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from kws_dendrite.plain import Graph

GOLDEN = Path(__file__).resolve().parents[1] / "tests" / "golden" / "tflite"
GOLDEN_NAMES = ("sep12_mel40_s1", "sep14_s1", "sep14_s2")
CLIPS = 24  # calibration of the converter


@dataclass(frozen=True)
class Unseen:
    """A model, and the int8 file that is counted: a golden one, or None where the exporter writes it."""

    name: str
    graph: Graph
    tflite: Path | None = None


def golden_models() -> Iterator[Unseen]:
    """The golden files beside plain graphs of the same layers."""
    for name in GOLDEN_NAMES:
        path = GOLDEN / f"{name}.tflite"
        yield Unseen(name, golden_graph(path), path)


def golden_graph(path: Path) -> Graph:
    """The plain graph of a golden file: its layers and its weights, as they were before quantisation."""
    from kws_dendrite import plain
    from kws_dendrite.export.c.reader import read_program

    program = read_program(path)
    names = {program.input: "features"}
    nodes: list[plain.Node] = [plain.Input("features", (), program.tensors[program.input].size)]
    weights: dict[str, np.ndarray] = {}
    for operator in program.operators:
        target, name = program.tensors[operator.outputs[0]], f"node_{operator.index}"
        sources = tuple(names[index] for index in operator.inputs if index in names)
        options = {"stride": operator.stride, "padding": operator.padding}
        match operator.kind:
            case "RESHAPE":
                nodes.append(plain.Reshape(name, sources, target.shape[1:]))
            case "CONV_2D" | "DEPTHWISE_CONV_2D" | "FULLY_CONNECTED":
                constant, *rest = (program.tensors[index] for index in operator.inputs[1:] if index >= 0)
                last = "DEPTHWISE" not in operator.kind
                scales = constant.scales if len(constant.scales) > 1 else np.repeat(constant.scales, target.shape[-1])
                real = (np.moveaxis(constant.data, 0, -1) if last else constant.data[0]) * scales
                weights[name] = real.astype(np.float32)
                bias = None
                if rest:
                    step = program.tensors[operator.inputs[0]].scale * scales
                    bias = (rest[0].data.reshape(-1) * step).astype(np.float32)
                if operator.kind == "FULLY_CONNECTED":
                    flat = plain.Reshape(f"{name}_flat", sources, (constant.shape[1],))
                    nodes += [flat, plain.Dense(name, (flat.name,), name, bias=bias)]
                else:
                    nodes.append(plain.Conv2D(name, sources, name, bias=bias, depthwise=not last, **options))
            case "ADD":
                nodes.append(plain.Add(name, sources))
            case "AVERAGE_POOL_2D":
                nodes.append(plain.AvgPool(name, sources, operator.window, operator.stride, operator.padding))
            case "SOFTMAX":
                nodes.append(plain.Softmax(name, sources))
        if operator.activation == "relu":
            name = f"{name}_relu"
            nodes.append(plain.Activation(name, (nodes[-1].name,), "relu"))
        names[operator.outputs[0]] = name
    return Graph(tuple(nodes), weights)


def project_models() -> Iterator[Unseen]:
    """The project's families at several sizes, as the exporter writes them. Loads torch."""
    from kws_dendrite.models import SeparableConfig
    from kws_dendrite.models.edge_impulse import EdgeImpulse1dConfig, EdgeImpulse2dConfig
    from kws_dendrite.models.paper import PaperConfig

    base = SeparableConfig(49, 13, 12)
    plain_configs = {
        "separable 20, a block twice": base,
        "separable 8": replace(base, channels=8, kernel=5, blocks=(0,), dilations=(1,)),
        "separable 12, stride 2, twice and one": replace(
            base, channels=12, kernel=7, blocks=(0, 0, 1), dilations=(1, 2, 3), stride=2
        ),
        "separable 24, three": replace(base, channels=24, kernel=11, blocks=(0, 1, 2), dilations=(1, 1, 1)),
        "separable 10, 40 bands, mean removed": replace(base, coefficients=40, channels=10, remove_mean=True),
        "separable 16, joined, mean": replace(base, classes=4, channels=16, residual="joined", pooling="mean"),
        "edge impulse 1-D": EdgeImpulse1dConfig(49, 13, 4),
        "edge impulse 1-D, 24 and 32": EdgeImpulse1dConfig(62, 32, 6, channels=(24, 32)),
        "edge impulse 2-D": EdgeImpulse2dConfig(49, 13, 4),
        "paper": PaperConfig(49, 13, 4, channels=(4, 6), hidden=(8,)),
    }
    for name, config in plain_configs.items():
        yield Unseen(name, _folded(config))
    for name, channels, dendrites, settings in (
        ("separable 14, a dendrite in the head", 14, 1, {"layers": "head", "activation": "tanh"}),
        ("separable 12, two dendrites everywhere", 12, 2, {"layers": "all", "activation": "relu"}),
        ("separable 10, a hard dendrite in the convolutions", 10, 1, {"layers": "conv", "activation": "hard_tanh"}),
        ("separable 19, plateaus of 17", 19, 1, {"layers": "conv", "kind": "plateau", "taps": 17}),
        (
            "separable 11, hard plateaus of 5", 11, 1,
            {"layers": "conv", "kind": "plateau", "taps": 5, "activation": "hard_tanh"},
        ),
    ):  # fmt: skip
        kernel = 11 if "plateau" in name else 9
        config = replace(base, channels=channels, blocks=(0, 1), dilations=(1, 2), kernel=kernel)
        yield Unseen(name, _folded(config, dendrites, **settings))


def _folded(config: object, dendrites: int = 0, **settings: str | int) -> Graph:
    """A model with random weights, folded; with dendrites inserted as growth does it."""
    import torch

    from kws_dendrite.dendrites import DendriteConfig, attach, fresh_choices, insert
    from kws_dendrite.fold import fold
    from kws_dendrite.models import build_model

    generator = torch.Generator().manual_seed(0)
    model = build_model(config, 1, 0)
    x = torch.randn(CLIPS, config.frames, config.coefficients, generator=generator)
    if dendrites:
        plan = DendriteConfig(mode="random", dendrites=dendrites, **settings)
        attach(model, plan)
        for number in range(dendrites):
            insert(model, fresh_choices(model, x, plan, number))
    with torch.no_grad():  # neurons' strengths and biases as training leaves them: not 0
        for parameter in model.parameters():
            if parameter.dim() == 2:
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return fold(model.eval())


def calibration(graph: Graph) -> np.ndarray:
    """Features (M, T*F) that set the converter's ranges: noise."""
    return np.random.default_rng(0).normal(size=(CLIPS, graph.input.size)).astype(np.float32)
