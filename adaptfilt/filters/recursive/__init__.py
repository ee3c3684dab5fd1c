"""Filters with poles."""
