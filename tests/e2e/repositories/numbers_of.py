"""Target functions that measure something."""

from __future__ import annotations

import os
import time
from pathlib import Path

from tqdm import tqdm, trange

import coflux as cf

TRAINING = cf.MetricGroup("training", units="epochs")
SHARE = cf.MetricScale("share", units="%", lower=0, upper=100)


@cf.workflow()
def train(epochs: int) -> int:
    """Two metrics over one axis."""
    loss = cf.Metric("loss", group=TRAINING, throttle=None)
    accuracy = cf.Metric("accuracy", group=TRAINING, scale=SHARE, throttle=None)
    for epoch in range(epochs):
        loss.record(1 / (epoch + 1), at=epoch)
        accuracy.record(100 - 100 / (epoch + 1), at=epoch)
    return epochs


@cf.workflow()
def redefine() -> None:
    """One key with two definitions."""
    cf.Metric("loss").record(1)
    cf.Metric("loss", scale="other").record(2)


@cf.workflow()
def bars(count: int) -> int:
    """Bars of our own and of tqdm, printed text between them."""
    for _ in cf.progress(range(count)):
        for _ in cf.progress(range(3)):
            pass
    for _ in tqdm(range(count), desc="rows"):
        pass
    with trange(count, disable=None, leave=False) as bar:
        for _ in bar:
            bar.set_description("changing")
    print("done")
    return count


@cf.workflow()
def dies(path: str) -> None:
    """Is killed after it has measured."""
    for value in range(3):
        cf.Metric("steps", throttle=None).record(value, at=value)
    while not Path(path).exists():
        time.sleep(0.01)
    os._exit(9)
