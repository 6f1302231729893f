"""Keys from a real OpenBao: versions, stages, rotation by a plain `kv put`, and everything malformed."""

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from openbao import Bank, Service

from antiphon_contract.errors import Reason, failure
from antiphon_embedded.vault_server import running_vault
from antiphon_kit import vault_slot
from antiphon_kit.key_versions import Stage

SLOT = "openai/default"


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bank]:
    directory = tmp_path_factory.mktemp("vault")
    with running_vault(directory) as server:
        yield Bank(server, directory / "login")


@pytest.fixture
def provider(bank: Bank, request: pytest.FixtureRequest) -> str:
    """A provider of the test's own, so that its slots are fresh."""
    name = request.node.name.partition("[")[0].removeprefix("test_").replace("_", "-")[:40].strip("-")
    bank.bootstrap(name)
    return name


@asynccontextmanager
async def serving(bank: Bank, provider: str, *slots: str, **changes: object) -> AsyncIterator[Service]:
    service = Service(bank.settings(provider, **changes), *(slots or (f"{provider}/default",)))
    try:
        yield service
    finally:
        await service.aclose()


@pytest.fixture
async def service(bank: Bank, provider: str) -> AsyncIterator[Service]:
    async with serving(bank, provider) as service:
        yield service


async def test_the_newest_version_is_in_service_and_the_one_before_behind_it(
    bank: Bank, provider: str, service: Service
) -> None:
    for value in ("k1", "k2", "k3"):
        bank.put(f"{provider}/default", value)
    await service.ring.poll()
    assert service.stages == {3: "CURRENT", 2: "GRACE"}
    assert await service.use() == "k3"
    assert service.rules == []
    assert service.vendor.asked == ["k3"]


async def test_the_state_document_decides_and_not_what_is_newest(bank: Bank, provider: str, service: Service) -> None:
    for value in ("k1", "k2", "k3"):
        bank.put(f"{provider}/default", value)
    bank.stage(f"{provider}/default", v1={"status": "current"}, v2={"status": "bad"})
    await service.ring.poll()
    assert service.stages == {1: "CURRENT"}
    bank.stage(f"{provider}/default", v1={"status": "current"}, v3={"status": "candidate", "share": 1.0})
    await service.ring.poll()
    assert service.stages == {3: "CANDIDATE", 1: "CURRENT"}
    assert await service.use() == "k3"
    bank.stage(f"{provider}/default", v1={"status": "grace"}, v3={"status": "current"})
    await service.ring.poll()
    assert service.stages == {3: "CURRENT", 1: "GRACE"}


async def test_a_bad_candidate_is_never_used_until_the_document_gives_it_another_chance(
    bank: Bank, provider: str, service: Service
) -> None:
    slot = f"{provider}/default"
    bank.put(slot, "good")
    bank.put(slot, "bad")
    document = {"v1": {"status": "current"}, "v2": {"status": "candidate", "share": 1.0}}
    bank.stage(slot, **document)
    service.vendor.refused = {"bad"}
    await service.ring.poll()
    assert service.stages == {2: "BAD", 1: "CURRENT"}
    assert service.rules == ["rolled_back"]
    service.vendor.refused = set()
    await service.ring.poll()
    assert await service.use() == "good", "the document still says candidate, which it was when it was refused"
    bank.stage(slot, v1={"status": "current"}, v2={"status": "bad"})
    await service.ring.poll()
    bank.stage(slot, **document)
    service.ring.slots[0].versions[0].refusal = None
    await service.ring.poll()
    assert await service.use() == "bad"


async def test_a_revoked_version_never_comes_back(bank: Bank, provider: str, service: Service) -> None:
    slot = f"{provider}/default"
    bank.put(slot, "k1")
    bank.put(slot, "k2")
    bank.stage(slot, v1={"status": "grace"}, v2={"status": "current"})
    await service.ring.poll()
    async with service.ring.lease() as running:
        bank.stage(slot, v1={"status": "current"}, v2={"status": "revoked"})
        await service.ring.poll()
        assert service.stages == {2: "REVOKED", 1: "CURRENT"}
        assert await service.use() == "k1"
        assert running.secret.reveal() == "k2", "a call that runs ends with what it began with"
    bank.stage(slot, v1={"status": "grace"}, v2={"status": "current"})
    await service.ring.poll()
    assert await service.use() == "k1"
    assert service.stages == {1: "GRACE"}
    bank.stage(slot, v1={"status": "revoked"})
    await service.ring.poll()
    assert "every version is bad or revoked" in await service.missing()


async def test_a_document_once_seen_is_missed(bank: Bank, provider: str, service: Service) -> None:
    slot = f"{provider}/default"
    bank.put(slot, "k1")
    bank.put(slot, "k2")
    bank.stage(slot, v1={"status": "current"}, v2={"status": "revoked"})
    await service.ring.poll()
    with bank.server.root() as root:
        root.secrets.kv.v2.delete_metadata_and_all_versions(f"antiphon/{slot}-state")
    confirmed_s = service.ring.slots[0].confirmed_s
    await service.ring.poll()
    assert await service.use() == "k1"
    assert service.rules == ["missing"]
    assert service.ring.slots[0].confirmed_s == confirmed_s


async def test_a_plain_put_rotates_by_a_trial(
    bank: Bank, provider: str, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    slot = f"{provider}/default"
    bank.put(slot, "k1")
    await service.ring.poll()
    bank.put(slot, "k2")
    await service.ring.poll()
    assert service.stages == {2: "CANDIDATE", 1: "CURRENT"}
    candidate = service.ring.slots[0].versions[0]
    assert (candidate.share, candidate.proven) == (vault_slot.TRIAL_SHARE, True)
    candidate.successes = vault_slot.TRIAL_SUCCESSES - 1
    await service.ring.poll()
    assert candidate.stage is Stage.CANDIDATE
    candidate.successes += 1
    await service.ring.poll()
    assert service.stages == {2: "CURRENT", 1: "GRACE"}
    assert await service.use() == "k2"
    bank.put(slot, "k3")
    await service.ring.poll()
    monkeypatch.setattr(vault_slot, "TRIAL_S", 0.0)
    await service.ring.poll()
    assert service.stages == {3: "CURRENT", 2: "GRACE"}, "nobody called: its time is up, the check has to do"


async def test_six_bad_keys_in_a_row_are_never_used(bank: Bank, provider: str, service: Service) -> None:
    slot = f"{provider}/default"
    bank.put(slot, "good")
    await service.ring.poll()
    service.vendor.refused = {f"bad{number}" for number in range(6)}
    for number in range(6):
        bank.put(slot, f"bad{number}")
        await service.ring.poll()
        assert await service.use() == "good"
    assert service.rules == ["rolled_back"]
    assert service.stages == {1: "CURRENT"} | dict.fromkeys(range(2, 8), "BAD")
    bank.put(slot, "better")
    await service.ring.poll()
    service.ring.slots[0].versions[0].successes = 20
    await service.ring.poll()
    assert await service.use() == "better"
    assert service.rules == []
    assert service.stages == {8: "CURRENT", 1: "GRACE"}


async def test_a_start_with_a_bad_newest_version_takes_the_one_before(
    bank: Bank, provider: str, service: Service
) -> None:
    slot = f"{provider}/default"
    for value in ("k1", "k2", "bad"):
        bank.put(slot, value)
    service.vendor.refused = {"bad"}
    await service.ring.poll()
    assert await service.use() == "k2"
    assert service.stages[2] == "CURRENT"
    assert "refused" in service.rules


async def test_the_only_key_is_used_though_it_is_refused_and_not_checked_all_the_time(
    bank: Bank, provider: str, service: Service
) -> None:
    bank.put(f"{provider}/default", "bad")
    service.vendor.refused = {"bad"}
    for _ in range(3):
        await service.ring.poll()
    assert await service.use() == "bad"
    assert len(service.vendor.asked) == 1


async def test_a_candidate_waits_for_a_vendor_that_cannot_be_asked(bank: Bank, provider: str, service: Service) -> None:
    slot = f"{provider}/default"
    bank.put(slot, "k1")
    await service.ring.poll()
    bank.put(slot, "k2")
    service.vendor.failing = failure(Reason.ERROR_REASON_UPSTREAM_UNREACHABLE, "down")
    await service.ring.poll()
    candidate = service.ring.slots[0].versions[0]
    assert (candidate.stage, candidate.proven) == (Stage.CANDIDATE, False)
    assert service.rules == ["unchecked"]
    service.vendor.failing = failure(Reason.ERROR_REASON_RATE_LIMITED, "slow")
    await service.ring.poll()
    assert candidate.proven
    assert service.rules == []


async def test_deleted_versions_are_not_used(bank: Bank, provider: str, service: Service) -> None:
    slot = f"{provider}/default"
    for value in ("k1", "k2", "k3"):
        bank.put(slot, value)
    await service.ring.poll()
    with bank.server.root() as root:
        root.secrets.kv.v2.delete_secret_versions(f"antiphon/{slot}", [3])
        root.secrets.kv.v2.destroy_secret_versions(f"antiphon/{slot}", [1])
    await service.ring.poll()
    assert await service.use() == "k2"
    assert service.stages == {2: "CURRENT"}
    with bank.server.root() as root:
        root.secrets.kv.v2.delete_secret_versions(f"antiphon/{slot}", [2])
    await service.ring.poll()
    assert await service.use() == "k2", "all gone may be a mistake: the last good key lasts for its time"
    assert service.rules == ["missing"]


@pytest.mark.parametrize("malformed", ["", "two words", "a\nb", "é", 7, {"nested": "x"}])
async def test_a_malformed_value_leaves_the_last_good_one(
    bank: Bank, malformed: object, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    provider = f"malformed-{request.node.name.__hash__() % 10**8}"
    bank.bootstrap(provider)
    async with serving(bank, provider) as service:
        bank.put(f"{provider}/default", "good")
        await service.ring.poll()
        caplog.set_level(logging.DEBUG)
        bank.put(f"{provider}/default", malformed)
        await service.ring.poll()
        assert await service.use() == "good"
        (problem,) = service.ring.problems
        assert (problem.rule, problem.version) == ("malformed", 2)
        assert f"{provider}/default version 2: field value" in problem.message
        await service.ring.poll()
        assert service.rules == ["malformed"], "it stays until it is mended"
        assert service.ring.slots[0].staleness_s(service.ring.now_s()) < 5
        bank.put(f"{provider}/default", "better")
        await service.ring.poll()
        service.ring.slots[0].versions[0].successes = 20
        await service.ring.poll()
        assert await service.use() == "better"
        assert service.rules == []


async def test_a_start_with_a_malformed_newest_version(bank: Bank, provider: str, service: Service) -> None:
    bank.put(f"{provider}/default", "good")
    bank.put(f"{provider}/default", "sk-right", field="api_key")
    await service.ring.poll()
    assert await service.use() == "good"
    assert service.stages == {1: "CURRENT"}
    assert service.rules == ["malformed"]


async def test_a_malformed_document_changes_nothing_and_confirms_nothing(
    bank: Bank, provider: str, service: Service
) -> None:
    slot = f"{provider}/default"
    bank.put(slot, "k1")
    bank.stage(slot, v1={"status": "current"})
    await service.ring.poll()
    confirmed_s = service.ring.slots[0].confirmed_s
    bank.stage(slot, v1={"status": "retired"})
    await service.ring.poll()
    assert await service.use() == "k1"
    assert service.rules == ["malformed"]
    assert service.ring.slots[0].confirmed_s == confirmed_s
    bank.stage(slot, v1={"status": "current"})
    await service.ring.poll()
    assert service.rules == []


async def test_several_slots_share_the_calls_and_one_login(bank: Bank, provider: str) -> None:
    bank.put(f"{provider}/a", "ka")
    bank.put(f"{provider}/b", "kb")
    async with serving(bank, provider, f"{provider}/a", f"{provider}/b") as service:
        await service.ring.poll()
        service.ring._roll = lambda: 0.4
        assert await service.use() == "ka"
        service.ring._roll = lambda: 0.6
        assert await service.use() == "kb"
        assert service.client.logins == 1


async def test_fingerprints_are_the_same_in_every_process(bank: Bank, provider: str) -> None:
    bank.put(f"{provider}/default", "k1")
    found = set()
    for _ in range(2):
        bank.bootstrap(provider)
        async with serving(bank, provider) as service:
            await service.ring.poll()
            found.add(service.ring.slots[0].versions[0].fingerprint)
    assert len(found) == 1
    assert len(found.pop()) == 12


async def test_a_failed_write_with_a_stale_cas_is_the_servers_to_refuse(bank: Bank, provider: str) -> None:
    with bank.server.root() as root, pytest.raises(Exception, match="check-and-set"):
        root.secrets.kv.v2.create_or_update_secret(f"antiphon/{provider}/default-state", {"1": {"status": "current"}})


async def test_nothing_of_it_is_logged_or_shown(
    bank: Bank, provider: str, service: Service, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG)
    bank.put(f"{provider}/default", "sk-canary-1")
    bank.put(f"{provider}/default", "sk-canary-2 oops")
    await service.ring.poll()
    secrets = [service.client._hvac.token, service.client._secret_id, "sk-canary"]
    text = caplog.text + repr([vars(record) for record in caplog.records]) + repr(service.ring.problems)
    text += repr(vars(service.ring)) + repr(service.ring.slots) + repr(service.client)
    assert all(len(secret) > 8 and secret not in text for secret in secrets)
    assert "sk-canary" not in bank.server.audit.read_text()
