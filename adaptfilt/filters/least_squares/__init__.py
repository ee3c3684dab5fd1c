"""Filters that solve a least-squares problem at every sample: RLS, affine projection."""
