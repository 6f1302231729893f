"""The router's decisions, as pure functions of (state, event, now, dice).

Nothing here performs I/O, reads a clock, owns randomness or sees a payload; `shell` does all that and obeys.
Times are seconds on one monotonic clock. That is what lets tests/simulation run hours of outages in a second.
"""
