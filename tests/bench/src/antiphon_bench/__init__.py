"""Owns the figures of what the suite costs, as ratios measured in one run."""
