"""Filters that adapt only where the error is beyond a bound."""
