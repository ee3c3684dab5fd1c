"""Gradient descent on any torch module, sample by sample: `GradientFilter` and its inside."""
