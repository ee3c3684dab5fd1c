"""Engines in torch operations: any device, batched, differentiable."""
