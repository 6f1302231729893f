"""Owns what is known about the link to the fleet's store: for `antiphon status`, whether there is one or not."""

import time

from antiphon.router.v1 import router_pb2
from antiphon_router.shell.targets import moment


class FleetStatus:
    """The link as of now. `store` "": this router shares nothing."""

    def __init__(self) -> None:
        self.store = ""
        self.connected = False
        self.facts = 0
        self._since = 0.0

    def began(self, store: str) -> None:
        """The link to `store` is being opened; "": there is none any more."""
        self.store = store
        self.turned(connected=False)

    def turned(self, *, connected: bool) -> None:
        """The store answers, or has ceased to."""
        self.connected = connected
        self._since = time.time()

    def show(self, response: router_pb2.ListBackendsResponse) -> None:
        """Put it into `response`."""
        if self.store:
            link = router_pb2.FleetLink(store=self.store, connected=self.connected, facts=self.facts)
            link.since_time.CopyFrom(moment(self._since))
            response.fleet.CopyFrom(link)
