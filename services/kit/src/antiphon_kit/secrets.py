"""Owns the port through which a provider gets its key, and the two sources that need no server.

Forbids itself: caching beyond what a source's own re-read rule allows, and showing a value anywhere.
"""
