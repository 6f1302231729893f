"""Owns the whole suite as processes on one machine: `up` for use, `demo` to see it work."""
