"""A visual world whose truth is known: drawn pictures, and a monkey's cortex that sees them."""

from neurohorizon.simulate.ventral.areas import LOW_LEVEL_TARGETS, SEMANTIC_TARGETS
from neurohorizon.simulate.ventral.pictures import Scene, draw_scene, render
from neurohorizon.simulate.ventral.plan import VentralPlan
from neurohorizon.simulate.ventral.truth import load_ventral_truth
from neurohorizon.simulate.ventral.write import write_ventral_stream

__all__ = [
    "LOW_LEVEL_TARGETS",
    "SEMANTIC_TARGETS",
    "Scene",
    "VentralPlan",
    "draw_scene",
    "load_ventral_truth",
    "render",
    "write_ventral_stream",
]
