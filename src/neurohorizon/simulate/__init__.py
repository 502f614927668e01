"""Worlds whose truth is known."""

from neurohorizon.simulate.calcium import CalciumWorld, SimulatedCalcium
from neurohorizon.simulate.observer import IdealObserver
from neurohorizon.simulate.population import simulate_population, simulate_session
from neurohorizon.simulate.session import SimulatedSession, SimulatedTrials, SimulatedUnits
from neurohorizon.simulate.world import PopulationWorld

__all__ = [
    "CalciumWorld",
    "IdealObserver",
    "PopulationWorld",
    "SimulatedCalcium",
    "SimulatedSession",
    "SimulatedTrials",
    "SimulatedUnits",
    "simulate_population",
    "simulate_session",
]
