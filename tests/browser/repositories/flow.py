"""Targets that the browser tests run: a small report, one that fails, one that waits for a file."""

import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import coflux as cf

CHART = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="300" height="120">'
    '<rect width="300" height="120" fill="#eef"/>'
    '<polyline points="10,100 80,40 150,70 220,20 290,60" fill="none" stroke="#1f56c4"/></svg>'
)


@cf.task(cache=True)
def load(city: str):
    print(f"loading {city}")
    cf.log_info("loaded {rows} rows of {city}", rows=42, city=city)
    return {"city": city, "rows": [1, 2, 3, 4], "mean": 12.5}


@cf.task()
def summarise(data: cf.Execution, day: int) -> float:
    print("\x1b[32mgreen\x1b[0m day", day)
    return data.result()["mean"] * day


@cf.task()
def draw(data: cf.Execution) -> cf.Asset:
    city = data.result()["city"]
    Path("chart.svg").write_text(CHART)
    Path("table.csv").write_text(f"day,city\n1,{city}\n2,{city}\n")
    Path("notes.txt").write_text("Measured by hand.\n")
    return cf.persist_asset(name="report")


@cf.workflow()
def report(city: str = "Oslo", days: int = 3, mode: Literal["fast", "slow"] = "fast"):
    """Report on a city.

    Loads the data, summarises each day and draws a chart.
    """
    data = load.submit(city)
    with cf.group("days"):
        parts = [summarise.submit(data, day) for day in range(days)]
    drawing = draw.submit(data)
    total = sum(part.result() for part in parts)
    drawing.result()
    return {"total": total, "city": city, "mode": mode}


@cf.workflow()
def many_files(count: int) -> cf.Asset:
    for number in range(count):
        Path(f"part-{number}.txt").write_text(f"of {count}: {number}")
    return cf.persist_asset(name="parts")


@cf.task(retries=1)
def broken(x: int) -> float:
    cf.log_warning("about to divide {x} by zero", x=x)
    return x / 0


@cf.workflow()
def failing(x: int):
    """Always fails."""
    return broken(x)


@cf.task()
def held(gate: str) -> str:
    count = 0
    while not Path(gate).exists():
        count += 1
        print(f"tick {count}")
        time.sleep(0.05)
    return "released"


@cf.workflow()
def gated(gate: str):
    """Waits until a file is there."""
    return held(gate)


@cf.task()
def tiny(number: int) -> int:
    return number


@cf.workflow()
def sweep(count: int = 60):
    """Many small steps."""
    parts = [tiny.submit(number) for number in range(count)]
    return sum(part.result() for part in parts)


@cf.workflow()
def chatty(lines: int = 3000):
    """Many lines of log."""
    for number in range(lines):
        print(f"line {number}")
    return lines


@cf.task()
def train(rate: float) -> None:
    curve = cf.MetricGroup("training", units="epoch")
    loss = cf.Metric("loss", group=curve, throttle=None)
    share = cf.Metric(
        "accuracy", group=curve, scale=cf.MetricScale("share", lower=0, upper=1), throttle=None
    )
    for epoch in cf.progress(range(20)):
        loss.record(1 / (1 + epoch * rate), at=epoch)
        share.record(1 - 1 / (1 + epoch), at=epoch)


@cf.workflow()
def training(rate: float = 0.5):
    """Measures while it runs."""
    return train(rate)


@cf.task(retries=cf.Retries(2, backoff=3600))
def later(gate: str) -> str:
    if not Path(gate).exists():
        raise RuntimeError("not yet")
    return "there"


@cf.workflow()
def late(gate: str):
    """Tries again after an hour."""
    return later(gate)


@cf.task(slots="press")
def pressed() -> int:
    return 1


@cf.workflow()
def printing():
    """Uses a named slot."""
    return pressed()


@dataclass
class Address:
    street: str
    floor: int | None = None


@dataclass
class Order:
    count: int
    speed: Literal["slow", "fast"]
    to: Address
    labels: list[str] = field(default_factory=list)
    is_gift: bool = False


confirm = cf.Prompt(
    "Confirm the order of {customer}.\n\nThe stock is at https://stock.example/a?b=1 today.",
    model=Order,
    title="An order",
    actions=("Place it", "Reject"),
)
approve = cf.Prompt("Ship {what}?", model=bool, title="Release")
anything = cf.Prompt("What shall we do about {what}?")


@cf.task()
def confirmed(customer: str):
    order = confirm.submit(initial={"count": 2, "to": {"street": "Main"}}, customer=customer)
    return asdict(order.result())


@cf.workflow()
def ordering(customer: str):
    """Asks for an order."""
    return confirmed(customer)


@cf.workflow()
def releasing(what: str):
    """Asks whether to go on."""
    try:
        return "shipped" if approve(what=what) else "kept"
    except cf.InputDismissed:
        return "dismissed"


@cf.workflow()
def wondering(what: str):
    """Asks for whatever comes to mind."""
    return anything(what=what)
