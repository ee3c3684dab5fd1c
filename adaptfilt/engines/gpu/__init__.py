"""The engine for CUDA."""
