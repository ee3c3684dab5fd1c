"""Equalisers, blind and decision-directed."""
