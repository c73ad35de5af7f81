"""Every planted fault is found: the simulation is worth what it finds."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.simulation.planted import FAULTS, FAULTS_OF_INPUTS, Fault
from tests.simulation.planted_collected import FAULTS_OF_COLLECTION
from tests.simulation.planted_operated import FAULTS_OF_OPERATION
from tests.simulation.world import Failure, simulate

#: Seeds within which a fault must be found.
PATIENCE = 60


def find(fault: Fault, run: Callable[[int], object]) -> None:
    for seed in range(PATIENCE):
        try:
            with fault():
                run(seed)
        except Failure:
            return
    raise AssertionError(f"not found within {PATIENCE} seeds")


def faults(planted: tuple[Fault, ...]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("fault", planted, ids=lambda fault: fault.__name__)


@faults(FAULTS)
def test_a_planted_fault_is_found(fault: Fault) -> None:
    find(fault, simulate)


@faults(FAULTS_OF_INPUTS)
def test_a_planted_fault_of_inputs_is_found(fault: Fault) -> None:
    find(fault, lambda seed: simulate(seed, asks=True))


@faults(FAULTS_OF_COLLECTION)
def test_a_planted_fault_of_collection_is_found(fault: Fault) -> None:
    find(fault, lambda seed: simulate(seed, asks=seed % 2 == 0, collects=True))


@faults(FAULTS_OF_OPERATION)
def test_a_planted_fault_of_operation_is_found(fault: Fault) -> None:
    find(fault, lambda seed: simulate(seed, operates=True))
