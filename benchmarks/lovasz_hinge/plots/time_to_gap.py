from benchopt import BasePlot

TARGETS = (1e-2, 1e-4, 1e-6)


class Plot(BasePlot):
    """Seconds until a solver has certified a relative gap: the median over the repetitions."""

    name = "time_to_gap"
    type = "table"
    options = {"dataset": ..., "objective": ...}

    def plot(self, df, dataset, objective):
        runs = df[(df["dataset_name"] == dataset) & (df["objective_name"] == objective)]
        return [
            [solver, *(_seconds(curves, target) for target in TARGETS)]
            for solver, curves in runs.groupby("solver_name")
        ]

    def get_metadata(self, df, dataset, objective):
        return {
            "title": f"Seconds to a certified relative gap\n{objective}\nData: {dataset}",
            "columns": ["solver", *(f"{target:.0e}" for target in TARGETS)],
            "default_order_ascending": True,
            "default_order_column": 2,
        }


def _seconds(curves, target):
    """Infinite unless more than half of the repetitions get there."""
    reached = curves[curves["objective_relative_gap"] <= target].groupby("idx_rep")["time"].min()
    return float(reached.reindex(curves["idx_rep"].unique()).fillna(float("inf")).median())
