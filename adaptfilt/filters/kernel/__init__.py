"""Filters that are sums of kernels around regressors they have seen."""
