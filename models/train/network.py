"""The network of the default model: four stages of plain 3x3 convolutions, then a linear layer on a 2x2 grid of means.

The grid keeps where things are, so that a scene turned upside down has another embedding.
"""
import torch
import torch.nn as nn
import torch.nn.functional as F

WIDTHS = (24, 48, 96, 144)
DIMENSION = 128
# Pixels 0 to 1: (x - MEAN) / STD; also in the card.
MEAN, STD = 0.5, 0.25


def convolution(inputs, outputs, stride=1, kernel=3, padding=1):
    return [nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False), nn.BatchNorm2d(outputs)]


class Stage(nn.Module):
    def __init__(self, inputs, outputs, stem=False):
        super().__init__()
        first = convolution(inputs, outputs, 4, 6) if stem else convolution(inputs, outputs, 2)
        self.enter = nn.Sequential(*first, nn.ReLU())
        self.residual = nn.Sequential(*convolution(outputs, outputs), nn.ReLU(), *convolution(outputs, outputs))

    def forward(self, x):
        x = self.enter(x)
        return F.relu(x + self.residual(x))


class Network(nn.Module):
    """N x 3 x S x S, S a multiple of 32, to the embedding and the maps at strides 4, 8 and 16."""

    def __init__(self):
        super().__init__()
        inputs = (3,) + WIDTHS[:-1]
        self.stages = nn.ModuleList(Stage(i, o, stem=n == 0) for n, (i, o) in enumerate(zip(inputs, WIDTHS)))
        self.embed = nn.Linear(4 * WIDTHS[-1], DIMENSION)

    def forward(self, x):
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return (self.embed(F.adaptive_avg_pool2d(x, 2).flatten(1)), *maps[:3])


class Heads(nn.Module):
    """What is asked of the network in training, and thrown away after it."""

    def __init__(self, families, causes):
        super().__init__()
        self.project = nn.Sequential(nn.Linear(DIMENSION, 256), nn.BatchNorm1d(256), nn.ReLU(), nn.Linear(256, 128))
        self.family = nn.Linear(DIMENSION, families)
        self.turn = nn.Linear(DIMENSION, 4)
        self.colour = nn.Linear(DIMENSION, 15)
        early = 2 * sum(WIDTHS[:3])
        self.quality = nn.Sequential(nn.Linear(early, 128), nn.BatchNorm1d(128), nn.ReLU())
        self.cause = nn.Linear(128, causes + 1)
        self.severity = nn.Linear(128, 1)

    def forward(self, outputs):
        embedding, *maps = [output.float() for output in outputs]
        levels = [x.mean((2, 3)) for x in maps] + [x.std((2, 3)) for x in maps]
        quality = self.quality(torch.cat(levels, 1))
        return {
            'projection': self.project(embedding),
            'family': self.family(embedding),
            'turn': self.turn(embedding),
            'colour': self.colour(embedding),
            'cause': self.cause(quality),
            'severity': self.severity(quality)[:, 0],
        }
