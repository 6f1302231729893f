"""Owns the list of saboteurs: bugs that gateways have shipped or might, and the goal that has to turn red for each.

Numbers are issues and pull requests of other projects where somebody met the bug in some version.
"""

from typing import Final

from antiphon_harness.sabotage import Saboteur
from antiphon_harness.saboteurs import limits, outages, secret_keys, streams, transport

SABOTEURS: Final[tuple[Saboteur, ...]] = (
    *transport.SABOTEURS,
    *streams.SABOTEURS,
    *limits.SABOTEURS,
    *outages.SABOTEURS,
    *secret_keys.SABOTEURS,
)
