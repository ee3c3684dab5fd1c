"""Stochastic gradient filters: LMS and what follows from it."""
