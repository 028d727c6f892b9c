"""Small models of other people's making, and batches for them."""

import torch
import torch.nn.functional as F
from torch import nn

from kws_dendrite.dendrites import DendriteConfig, dendritic_layers
from kws_dendrite.dendrites.torch_growth import Material, grow_plain, loss_of
from kws_dendrite.dendrites.torch_survey import refuse, survey

loss = F.cross_entropy
QUICK = {"candidate_epochs": 2, "significance": 0.0, "candidates": 3, "activation": "tanh"}


def mlp(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 10), nn.ReLU(), nn.Linear(10, 3))


class Block(nn.Module):
    """As in a residual net: BatchNorms of their own, one ReLU used twice, a sum in place."""

    def __init__(self, inputs, outputs, stride, *, inplace):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=inplace)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, groups=2, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.down = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        self.inplace = inplace

    def forward(self, x):
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        if self.inplace:
            y += self.down(x)
            return self.relu(y)
        return F.relu(y + self.down(x))


class Residual(nn.Module):
    def __init__(self, *, inplace=False):
        super().__init__()
        self.stem = nn.Conv2d(2, 4, 3, padding=1, padding_mode="circular")
        self.block = Block(4, 6, 2, inplace=inplace)
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        return self.head(self.block(F.relu(self.stem(x))).mean((2, 3)))


def residual(seed=0, *, inplace=False):
    torch.manual_seed(seed)
    return Residual(inplace=inplace)


class Temporal(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(5, 4, 3, stride=2, dilation=2)
        self.norm = nn.BatchNorm1d(4)
        self.mix = nn.Conv1d(4, 6, 1)
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        return self.head(F.relu(self.mix(F.relu(self.norm(self.conv(x))))).amax(-1))


def temporal(seed=0):
    torch.manual_seed(seed)
    return Temporal()


class Attention(nn.Module):
    def __init__(self, *, nested=True):
        super().__init__()
        self.door = nn.Linear(5, 8)
        layer = nn.TransformerEncoderLayer(8, 2, 12, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=nested)
        self.head = nn.Linear(8, 3)

    def forward(self, x, mask=None):
        return self.head(self.encoder(self.door(x), src_key_padding_mask=mask).mean(1))


def attention(seed=0, *, nested=True):
    torch.manual_seed(seed)
    return Attention(nested=nested)


MODELS = {"mlp": (mlp, (6,)), "residual": (residual, (2, 7, 6)), "temporal": (temporal, (5, 16)),
          "attention": (attention, (9, 5))}  # fmt: skip


def batch(shape, clips=24, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(clips, *shape, generator=generator)
    return x, (x.flatten(1)[:, :3]).argmax(1)


def batches(shape, count=5, clips=24):
    return [batch(shape, clips, seed) for seed in range(count)]


def trained_norms(model, shape):
    """The model with BatchNorm statistics that are not those of a fresh one."""
    model.train()
    for seed in range(3):
        model(2 * batch(shape, seed=seed)[0] + 1)
    return model.eval()


def places(model, shape, config, **settings):
    data = batch(shape)
    return refuse(survey(model, lambda: loss_of(model, data, loss), config, **settings), config)


def grown(name, steps=2, *, t=0.3, seed=0, **settings):
    """A grown model of this name, its t set to something, and a batch of inputs."""
    make, shape = MODELS[name]
    model, config = trained_norms(make(seed), shape), DendriteConfig(**{**QUICK, **settings})
    material = Material(batch(shape), loss, batches(shape), batches(shape, 2), 4)
    where = places(model, shape, config)
    for number in range(steps):
        grow_plain(model, where, material, config, number)
        for layer in dendritic_layers(model).values():
            for value in layer.t:
                nn.init.normal_(value, std=t, generator=torch.Generator().manual_seed(number))
    return model, batch(shape, seed=99)[0]


def state(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
