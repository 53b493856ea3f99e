"""Planning: configuration, published state, what the sources hold and the clock go in, a plan comes out.

Pure: nothing here reads a file, a warehouse or a clock.
"""

from statsig_staging.planner.load import LoadRequest, build_plan, sighting

__all__ = ["LoadRequest", "build_plan", "sighting"]
