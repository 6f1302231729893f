"""Replicas that are written down, that a name stands for, that come and go."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Sequence

import pytest

from antiphon_router.core.resolve import Catalog, catalog_of
from antiphon_router.core.values import Backend, State
from antiphon_router.shell.channels import Links
from antiphon_router.shell.discovery import Discoveries, Discovery, Dns, Written, opener
from antiphon_router.shell.roster import Roster


class Told:
    """A source that says what a test wants."""

    def __init__(self, *addresses: str) -> None:
        self.now: Sequence[str] | OSError = addresses

    async def addresses(self) -> Sequence[str]:
        if isinstance(self.now, OSError):
            raise self.now
        return self.now

    async def follow(self, changed: Callable[[], None]) -> None:
        self.changed = changed


def follow(links: Links, *told: Told, backend: str = "b", every_s: float = 5.0) -> Discovery:
    sources = {str(number): one for number, one in enumerate(told)}
    discovery = Discovery(backend, links, sources.__getitem__, every_s=every_s)
    discovery.use(sources)
    return discovery


def known(roster: Roster, backend: str = "b") -> dict[str, str]:
    fleet = roster.fleet
    return {r.address: fleet.healths[r.key].state for r in fleet.replicas.get(backend, ())}


def test_addresses_say_what_kind_of_source_they_are():
    asked = []
    open_source = opener(lambda service: asked.append(service) or Told())
    assert isinstance(open_source("h:1"), Written)
    assert isinstance(open_source("dns:///h:2"), Dns)
    assert isinstance(open_source("k8s:///ns/svc:grpc"), Told)
    assert asked == ["ns/svc:grpc"]


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
        busy = roster._loads[key]
        busy.in_flight = 1
        told.now = ["127.0.0.1:2", "127.0.0.1:3"]
        await discovery.refresh()
        assert known(roster)["127.0.0.1:1"] == State.DRAINING
        assert roster.health_of(key).rule == "discovery"
        assert links[key] is not None
        busy.in_flight = 0
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
        roster._loads[key].in_flight = 1
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


async def test_a_name_is_not_asked_more_often_than_it_may_change(monkeypatch):
    asked = 0
    now = 100.0

    async def getaddrinfo(host, port, **_):
        nonlocal asked
        asked += 1
        return [(socket.AF_INET, 1, 6, "", ("10.0.0.1", 1))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo, raising=False)
    name = Dns("svc:1", clock=lambda: now)
    for _ in range(3):
        await name.addresses()
    assert asked == 1
    now += 0.5
    await name.addresses()
    assert asked == 2


async def test_a_name_is_looked_at_every_few_seconds():
    woken = asyncio.Event()
    async with asyncio.timeout(5):
        task = asyncio.create_task(Dns("svc:1", every_s=0.01).follow(woken.set))
        await woken.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert await Written("h:1").follow(woken.set) is None, "what is written never changes"


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - what it waits for is plain state
            await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def discovering(roster: Roster, told: dict[str, Told]):
    async with Links(roster) as links, asyncio.TaskGroup() as group:
        discoveries = Discoveries(links, told.__getitem__, group)
        yield discoveries
        discoveries.cancel()


def catalog(**backends: tuple[str, ...]) -> Catalog:
    return catalog_of(Backend(name, "p", addresses) for name, addresses in backends.items())


async def test_what_a_source_tells_by_itself_is_followed_at_once():
    roster, told = Roster(), Told("127.0.0.1:1")
    async with discovering(roster, {"x": told}) as discoveries:
        discoveries.follow(catalog(a=("x",)))
        await until(lambda: set(known(roster, "a")) == {"127.0.0.1:1"})
        told.now = ("127.0.0.1:2",)
        told.changed()
        await until(lambda: set(known(roster, "a")) >= {"127.0.0.1:2"})
        told.now = ("127.0.0.1:3",)
        discoveries.look_again()
        await until(lambda: "127.0.0.1:3" in known(roster, "a"))


async def test_backends_come_and_go_with_the_catalog():
    roster = Roster()
    told = {"x": Told("127.0.0.1:1"), "y": Told("127.0.0.1:2"), "z": Told("127.0.0.1:3")}
    async with discovering(roster, told) as discoveries:
        discoveries.follow(catalog(a=("x",), b=("y",)))
        await until(lambda: bool(known(roster, "a")) and bool(known(roster, "b")))
        key = roster.fleet.replicas["a"][0].key
        roster._loads[key].in_flight = 1
        discoveries.follow(catalog(b=("y",), c=("z",)))
        await until(lambda: known(roster, "a") == {"127.0.0.1:1": State.DRAINING} and bool(known(roster, "c")))
        assert known(roster, "b")["127.0.0.1:2"] is not State.DRAINING, "what stays is not touched"
        roster._loads[key].in_flight = 0
        discoveries.look_again()
        await until(lambda: known(roster, "a") == {})


async def test_a_backend_that_moves_keeps_its_old_replicas_until_the_new_source_has_spoken():
    roster = Roster()
    told = {"x": Told("127.0.0.1:1"), "y": Told()}
    told["y"].now = OSError()
    async with discovering(roster, told) as discoveries:
        discoveries.follow(catalog(a=("x",)))
        await until(lambda: bool(known(roster, "a")))
        discoveries.follow(catalog(a=("y",)))
        await until(lambda: hasattr(told["y"], "changed"))
        assert known(roster, "a")["127.0.0.1:1"] is not State.DRAINING
        told["y"].now = ("127.0.0.1:2",)
        told["y"].changed()
        await until(lambda: set(known(roster, "a")) == {"127.0.0.1:2"})


async def test_following_goes_on_until_it_is_cancelled():
    roster = Roster()
    async with Links(roster) as links:
        told = Told()
        discovery = follow(links, told, every_s=0.01)
        following = asyncio.create_task(discovery.run())
        told.now = ["127.0.0.1:1"]
        async with asyncio.timeout(5):
            while not known(roster):  # noqa: ASYNC110 - what it waits for is plain state
                await asyncio.sleep(0.005)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
