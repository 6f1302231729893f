"""Replicas that are written down, that a name stands for, that come and go."""

import asyncio
import socket
from collections.abc import Sequence

import pytest

from antiphon_router.core.values import Backend, State
from antiphon_router.shell.channels import Links
from antiphon_router.shell.discovery import Discovery, Dns, Written, sources
from antiphon_router.shell.roster import Roster


class Told:
    """A source that says what a test wants."""

    def __init__(self, *addresses: str) -> None:
        self.now: Sequence[str] | OSError = addresses

    async def addresses(self) -> Sequence[str]:
        if isinstance(self.now, OSError):
            raise self.now
        return self.now


def follow(links: Links, *told: Told, backend: str = "b") -> Discovery:
    discovery = Discovery(Backend(backend, "p"), links)
    discovery._sources = list(told)
    return discovery


def known(roster: Roster, backend: str = "b") -> dict[str, str]:
    fleet = roster.fleet
    return {r.address: fleet.healths[r.key].state for r in fleet.replicas.get(backend, ())}


def test_addresses_say_what_kind_of_source_they_are():
    written, dns = sources(["h:1", "dns:///h:2"])
    assert isinstance(written, Written)
    assert isinstance(dns, Dns)


async def test_a_written_address_is_itself():
    assert await Written("some.host:1").addresses() == ("some.host:1",)


async def test_a_name_is_asked_and_every_address_counts(monkeypatch):
    async def getaddrinfo(host, port, **_):
        assert (host, port) == ("svc", "50051")
        v4 = [(socket.AF_INET, 1, 6, "", (ip, 50051)) for ip in ("10.0.0.2", "10.0.0.1", "10.0.0.1")]
        return [*v4, (socket.AF_INET6, 1, 6, "", ("fd00::1", 50051, 0, 0))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo, raising=False)
    assert await Dns("svc:50051").addresses() == ["10.0.0.1:50051", "10.0.0.2:50051", "[fd00::1]:50051"]


async def test_a_real_name_resolves():
    assert "127.0.0.1:7" in await Dns("localhost:7").addresses()


async def test_replicas_appear_and_disappear_and_running_calls_keep_their_link():
    roster = Roster()
    async with Links(roster) as links:
        told = Told("127.0.0.1:1", "127.0.0.1:2")
        discovery = follow(links, told)
        await discovery.refresh()
        assert set(known(roster)) == {"127.0.0.1:1", "127.0.0.1:2"}
        key = roster.fleet.replicas["b"][0].key
        busy = roster._loads[key]._replace(in_flight=1)
        roster._loads[key] = busy
        told.now = ["127.0.0.1:2", "127.0.0.1:3"]
        await discovery.refresh()
        assert known(roster)["127.0.0.1:1"] == State.DRAINING
        assert roster.health_of(key).rule == "discovery"
        assert links[key] is not None
        roster._loads[key] = busy._replace(in_flight=0)
        await discovery.refresh()
        assert set(known(roster)) == {"127.0.0.1:2", "127.0.0.1:3"}
        with pytest.raises(KeyError):
            links[key]


async def test_a_replica_that_returns_while_it_drains_is_taken_back():
    roster = Roster()
    async with Links(roster) as links:
        told = Told("127.0.0.1:1")
        discovery = follow(links, told)
        await discovery.refresh()
        key = roster.fleet.replicas["b"][0].key
        roster._loads[key] = roster._loads[key]._replace(in_flight=1)
        link = links[key]
        told.now = []
        await discovery.refresh()
        told.now = ["127.0.0.1:1"]
        await discovery.refresh()
        assert known(roster)["127.0.0.1:1"] != State.DRAINING
        assert links[key] is link
        assert roster.fleet.loads[key].in_flight == 1
        await roster_hears(roster, key)


async def roster_hears(roster, key):
    """Its health stream is followed again: nobody listens there, and the roster learns of it."""
    async with asyncio.timeout(5):
        while roster.fleet.healths[key].state != State.OPEN:  # noqa: ASYNC110 - plain state
            await asyncio.sleep(0.005)


async def test_a_name_that_cannot_be_asked_changes_nothing():
    roster = Roster()
    async with Links(roster) as links:
        told, other = Told("127.0.0.1:1"), Told()
        other.now = OSError()
        discovery = follow(links, told, other)
        await discovery.refresh()
        told.now = OSError()
        await discovery.refresh()
        assert set(known(roster)) == {"127.0.0.1:1"}


async def test_two_backends_may_share_a_replica():
    roster = Roster()
    async with Links(roster) as links:
        one, two = Told("127.0.0.1:1"), Told("127.0.0.1:1")
        first, second = follow(links, one, backend="one"), follow(links, two, backend="two")
        await first.refresh()
        await second.refresh()
        key = roster.fleet.replicas["one"][0].key
        link = links[key]
        one.now = []
        await first.refresh()
        assert known(roster, "one") == {}
        assert known(roster, "two")["127.0.0.1:1"] != State.DRAINING
        assert links[key] is link
        two.now = []
        await second.refresh()
        assert known(roster, "two") == {}


async def test_following_goes_on_until_it_is_cancelled():
    roster = Roster()
    async with Links(roster) as links:
        told = Told()
        discovery = follow(links, told)
        discovery._every_s = 0.01
        following = asyncio.create_task(discovery.run())
        told.now = ["127.0.0.1:1"]
        async with asyncio.timeout(5):
            while not known(roster):  # noqa: ASYNC110 - what it waits for is plain state
                await asyncio.sleep(0.005)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
