"""The sums over the units of a group that ``results`` publishes."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from tests.oracle_cells import Double, Row, quotient


@dataclass(frozen=True, slots=True)
class Side:
    """One number for each counted unit of a group, such as a metric's numerator.

    ``scales`` holds the absolute amounts that went into each number, and as the last entries
    those of the crossovers that are left out: a running total had them until they left.
    """

    values: list[float]
    scales: list[float]

    @classmethod
    def of(cls, counted: Iterable[Double | None], left: Iterable[Double | None]) -> Self:
        """Take the numbers of the counted units and of the crossovers that are left out."""
        of_counted = [cell for cell in counted if cell is not None]
        of_left = [cell for cell in left if cell is not None]
        scales = [cell.scale for cell in (*of_counted, *of_left)]
        return cls([float(cell) for cell in of_counted], scales)

    @property
    def is_empty(self) -> bool:
        """Whether no counted unit brought anything but zeros."""
        return not any(self.scales[: len(self.values)])

    def total(self) -> Double:
        """Add up the units."""
        return Double(math.fsum(self.values), math.fsum(self.scales))

    def product(self, other: "Side") -> Double:
        """Add up, over the units, this number times the other; with itself, the squares."""
        return Double(
            math.fsum(x * y for x, y in zip(self.values, other.values, strict=True)),
            math.fsum(x * y for x, y in zip(self.scales, other.scales, strict=True)),
        )

    def variance(self) -> Double | None:
        """Return the sample variance over the units, null for fewer than two."""
        count = len(self.values)
        if count < 2:
            return None
        mean = math.fsum(self.values) / count
        squares = math.fsum((x - mean) ** 2 for x in self.values)
        scale = math.fsum(x**2 for x in self.scales) + math.fsum(self.scales) ** 2 / count
        return Double(squares / (count - 1), scale / (count - 1))


def statistics(x: Side, y: Side | None) -> Row:
    """Return the sums of x and y.

    ``units`` is the number of counted units. A counted unit without rows counts as zero. ``mean``
    is the total over the units, and for a metric with a denominator over the denominator's total;
    what has nothing to divide by is null.
    """
    count = len(x.values)
    if y is None:
        mean = quotient(x.total(), Double(count, 0.0)) if count else None
    else:
        mean = None if y.is_empty else quotient(x.total(), y.total())
    return {
        "units": count,
        "total": x.total(),
        "total_squares": x.product(x),
        "mean": mean,
        "variance": x.variance(),
        "denominator_total": y.total() if y else None,
        "denominator_total_squares": y.product(y) if y else None,
        "numerator_denominator_product": x.product(y) if y else None,
    }


def covariate_statistics(x: Side, covariate: Side) -> Row:
    """Return ΣX, ΣX² and ΣXY, where X is the covariate and Y is x."""
    return {
        "covariate_total": covariate.total(),
        "covariate_total_squares": covariate.product(covariate),
        "covariate_product": x.product(covariate),
    }


def ratio_covariate_statistics(x: Side, y: Side, before: Side, below: Side) -> Row:
    """Return ΣM, ΣM², ΣYM, ΣNX, ΣNM and ΣXM.

    Y is x and N is y; X and M are their covariates.
    """
    return {
        "denominator_covariate_total": below.total(),
        "denominator_covariate_total_squares": below.product(below),
        "numerator_denominator_covariate_product": x.product(below),
        "denominator_covariate_product": y.product(before),
        "denominator_denominator_covariate_product": y.product(below),
        "covariates_product": before.product(below),
    }
