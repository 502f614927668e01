"""Worlds whose optimum is known."""

from neurohorizon.simulate.observer import IdealObserver
from neurohorizon.simulate.population import simulate_population, simulate_session
from neurohorizon.simulate.session import SimulatedSession, SimulatedTrials, SimulatedUnits
from neurohorizon.simulate.world import PopulationWorld

__all__ = [
    "IdealObserver",
    "PopulationWorld",
    "SimulatedSession",
    "SimulatedTrials",
    "SimulatedUnits",
    "simulate_population",
    "simulate_session",
]
