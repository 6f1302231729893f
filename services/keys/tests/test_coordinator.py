"""The loop over a store in memory: two at once, conflicts, trouble, alarms, orders."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial

import pytest

from antiphon.router.v1 import keys_pb2
from antiphon_keys import orders
from antiphon_keys.coordinator import Coordinator
from antiphon_keys.document import Document, Row
from antiphon_keys.orders import Refused, Why
from antiphon_keys.rotation import Pace, promoted
from antiphon_keys.store import STORE, Conflict, Stored
from antiphon_kit.key_versions import Stage
from antiphon_kit.telemetry import Reading
from antiphon_kit.vault_client import Trouble, VaultTrouble
from antiphon_kit.vault_documents import BadDocument

SLOT = "openai/default"
QUICK = Pace(shares=(0.5, 1.0), step_successes=1, step_s=0.0, grace_s=0.0)
GOOD: Document = {1: Row(Stage.CURRENT, 1.0, 1.0)}


class Memory:
    """A store of one slot."""

    def __init__(self, document: Document | None = GOOD, alive: Sequence[int] = (2, 1)) -> None:
        self.slot = Stored(SLOT, document, 7, tuple(alive), max(alive), min(alive), 32)
        self.trouble: Exception | None = None
        self.there = True
        self.conflicts = 0
        self.steal = 0
        self.deleted: list[int] = []

    async def slots(self) -> list[str]:
        if isinstance(self.trouble, VaultTrouble) and self.trouble.kind is Trouble.SEALED:
            raise self.trouble
        return [SLOT] if self.there else []

    async def read(self, name: str) -> Stored:
        if self.trouble is not None:
            raise self.trouble
        return self.slot

    async def write(self, stored: Stored, document: Document) -> None:
        await asyncio.sleep(0)
        if self.steal:
            self.steal -= 1
            self.slot = replace(self.slot, cas=self.slot.cas + 1)
        if stored.cas != self.slot.cas:
            self.conflicts += 1
            raise Conflict
        self.slot = replace(self.slot, document=document, cas=stored.cas + 1)

    async def delete(self, name: str, version: int) -> None:
        self.deleted.append(version)


class Replica:
    """A watch over one process, which does at once what the document says."""

    def __init__(self, memory: Memory, *, refuses: Sequence[int] = (), settled: bool = True) -> None:
        self._memory = memory
        self._refuses = refuses
        self.settled = settled
        self.pushed = 0

    async def push(self) -> None:
        self.pushed += 1

    @property
    def reports(self) -> dict[str, keys_pb2.WatchKeyUseResponse]:
        told = keys_pb2.WatchKeyUseResponse()
        for number, row in (self._memory.slot.document or {}).items():
            refused = number in self._refuses and row.stage is Stage.CANDIDATE
            stage = Stage.BAD if refused else row.stage
            use = told.uses.add(slot=SLOT, version=number, status=stage.value)
            use.check_time.FromSeconds(1)
        return {"127.0.0.1:1": told}


@asynccontextmanager
async def running(memory: Memory, watch: Replica, *, count: int = 1, **more: bool) -> AsyncIterator[list[Coordinator]]:
    made = [Coordinator(memory, QUICK, poll_s=0.05, **more) for _ in range(count)]  # type: ignore[arg-type]
    tasks = [asyncio.create_task(each.run(watch)) for each in made]  # type: ignore[arg-type]
    try:
        yield made
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(fits: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not fits():  # noqa: ASYNC110 - what is looked at tells nobody
            await asyncio.sleep(0.01)


class Meters:
    """Telemetry that is read by hand."""

    def __init__(self) -> None:
        self.read: dict[str, Callable[[], Iterable[Reading]]] = {}

    def gauge(self, name: str, unit: str, read: Callable[[], Iterable[Reading]]) -> None:
        self.read[name] = read

    counter = gauge


def metric(coordinator: Coordinator, name: str) -> list[Reading]:
    meters = Meters()
    coordinator.tally.observe(meters)  # type: ignore[arg-type]
    return list(meters.read[name]())


def stages(memory: Memory) -> dict[int, str]:
    return {number: row.stage.name for number, row in (memory.slot.document or {}).items()}


@pytest.mark.parametrize("count", [1, 3])
async def test_however_many_there_are_one_rotation_comes_of_it(count: int) -> None:
    memory = Memory()
    watch = Replica(memory)
    async with running(memory, watch, count=count) as made:
        await until(lambda: stages(memory) == {1: "REVOKED", 2: "CURRENT"})
        told = [point for each in made for point in metric(each, "antiphon.key.rotations")]
        assert told == [(1.0, {"slot": SLOT, "outcome": "promoted"})]
    # Candidate, second share, in service, retired; what two wanted to write at once was written once.
    assert memory.slot.cas == 7 + 4
    assert memory.deleted == []
    assert watch.pushed == 4


async def test_a_retired_version_is_deleted_where_that_is_wanted() -> None:
    memory = Memory()
    async with running(memory, Replica(memory), delete=True):
        await until(lambda: memory.deleted == [1])


async def test_a_bad_version_is_an_alarm_until_a_better_one_is_in_service() -> None:
    memory = Memory()
    async with running(memory, Replica(memory, refuses=[2])) as (coordinator,):
        await until(lambda: stages(memory) == {1: "CURRENT", 2: "BAD"} and bool(coordinator.problems.all()))
        (problem,) = coordinator.problems.all()
        assert (problem.slot, problem.rule, problem.version) == (SLOT, "rolled_back", 2)
        memory.slot = replace(memory.slot, alive=(3, 2, 1), newest=3)
        await until(lambda: stages(memory).get(3) == "CURRENT" and not coordinator.problems.all())


async def test_a_store_that_is_almost_full_of_bad_versions_is_an_alarm() -> None:
    memory = Memory(alive=(1,))
    memory.slot = replace(memory.slot, newest=30)
    async with running(memory, Replica(memory)) as (coordinator,):
        await until(lambda: [each.rule for each in coordinator.problems.all()] == ["crowded"])
        assert "after 2 more versions" in coordinator.problems.all()[0].message


async def test_before_every_process_was_asked_nothing_is_written() -> None:
    memory = Memory()
    watch = Replica(memory, settled=False)
    async with running(memory, watch) as (coordinator,):
        await coordinator.looked.wait()
        await asyncio.sleep(0.2)
        assert memory.slot.cas == 7
        watch.settled = True
        coordinator.news()
        await until(lambda: memory.slot.cas > 7)


@pytest.mark.parametrize(
    ("trouble", "slot", "rule"),
    [
        (VaultTrouble(Trouble.SEALED, "sealed"), STORE, "sealed"),
        (VaultTrouble(Trouble.DENIED, "denied"), SLOT, "denied"),
        (BadDocument("no object"), SLOT, "malformed"),
    ],
)
async def test_trouble_is_an_alarm_and_nothing_is_written_upon_it(trouble: Exception, slot: str, rule: str) -> None:
    memory = Memory()
    memory.trouble = trouble
    async with running(memory, Replica(memory)) as (coordinator,):
        await until(lambda: bool(coordinator.problems.all()))
        assert [(each.slot, each.rule) for each in coordinator.problems.all()] == [(slot, rule)]
        await until(lambda: metric(coordinator, "antiphon.key.alarm") == [(1.0, {"provider": "openai"})])
        assert memory.slot.cas == 7
        with pytest.raises((VaultTrouble, Refused)):
            await order(coordinator, memory, orders.promote, 2)
        memory.trouble = None
        await until(lambda: not coordinator.problems.all() and memory.slot.cas > 7)
        await until(lambda: metric(coordinator, "antiphon.key.alarm") == [(0.0, {"provider": "openai"})])


async def test_a_slot_that_is_gone_is_forgotten() -> None:
    memory = Memory(alive=(1,))
    async with running(memory, Replica(memory)) as (coordinator,):
        await until(lambda: SLOT in coordinator.slots)
        memory.there = False
        await until(lambda: not coordinator.slots)


async def order(
    coordinator: Coordinator, memory: Memory, what: Callable[..., object], number: int, *, settled: bool = True
) -> int:
    def change(document: Document, seen: object, now_s: float) -> tuple[Document, int]:
        return what(document, number, seen, now_s)  # type: ignore[return-value]

    return await coordinator.order(SLOT, change, Replica(memory, settled=settled))  # type: ignore[arg-type]


async def test_an_order_is_carried_out_upon_what_others_wrote_meanwhile() -> None:
    memory = Memory()
    memory.steal = 2
    coordinator = Coordinator(memory, QUICK, poll_s=60)  # type: ignore[arg-type]
    assert await order(coordinator, memory, orders.promote, 2) == 2
    assert stages(memory) == {1: "GRACE", 2: "CURRENT"}
    assert memory.conflicts == 2
    memory.steal = 99
    with pytest.raises(VaultTrouble, match="others keep writing"):
        await order(coordinator, memory, orders.promote, 1)


async def test_an_order_about_a_slot_without_a_document_begins_with_what_the_processes_do() -> None:
    memory = Memory(document=None)
    coordinator = Coordinator(memory, QUICK, poll_s=60)  # type: ignore[arg-type]
    rotate = partial(orders.rotate, pace=QUICK)
    await order(coordinator, memory, rotate, 0)
    assert stages(memory) == {2: "CANDIDATE"}
    memory.slot = replace(memory.slot, document=promoted({}, 1, 1.0))
    await order(coordinator, memory, orders.promote, 1)
    assert stages(memory) == {1: "CURRENT"}


async def test_an_order_about_a_slot_without_a_document_waits_until_it_is_known_who_holds_what() -> None:
    memory = Memory(document=None)
    coordinator = Coordinator(memory, QUICK, poll_s=60)  # type: ignore[arg-type]
    with pytest.raises(Refused, match="not every process"):
        await order(coordinator, memory, orders.promote, 1, settled=False)
    assert memory.slot.document is None


async def test_an_order_about_what_is_not_there() -> None:
    memory = Memory()
    memory.there = False
    coordinator = Coordinator(memory, QUICK, poll_s=60)  # type: ignore[arg-type]
    with pytest.raises(Refused, match="there is no slot openai/default; there is none") as caught:
        await order(coordinator, memory, orders.promote, 1)
    assert caught.value.why is Why.MISSING
