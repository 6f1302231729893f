"""The goals, each a function of a deployment that gives back figures, with its bounds beside it as data."""
