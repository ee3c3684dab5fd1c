"""Gradient filters whose costs grow less with large errors than the square, for noise with outliers."""
