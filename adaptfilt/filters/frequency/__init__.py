"""Filters of thousands of taps, in the frequency domain."""
