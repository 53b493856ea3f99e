"""Planning: configuration, published state, what the sources hold and the clock go in, a plan comes out.

Pure: nothing here reads a file, a warehouse or a clock.
"""

from statsig_staging.planner.definitions import sighting
from statsig_staging.planner.load import build_plan
from statsig_staging.planner.request import LoadRequest

__all__ = ["LoadRequest", "build_plan", "sighting"]
