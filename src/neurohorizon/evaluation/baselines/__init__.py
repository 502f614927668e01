"""The ladder of baselines: what a forecast must beat before it may be called good.

All are direct and multi-horizon: one value per horizon group, spread evenly over the
group's bins. All read what a model may read: the reference, and each window's past.
"""
