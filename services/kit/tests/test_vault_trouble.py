"""Who may read what, how long a token lasts, and a Vault that is sealed, frozen, dead or denies everything."""

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme
from openbao import Bank, Clock, Service

from antiphon_embedded.vault_server import running_vault
from antiphon_kit.vault_client import Trouble, VaultClient, VaultTrouble

SLOT = "openai/default"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    directory = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    made = authority.issue_cert("127.0.0.1")
    chain, key = directory / "cert.pem", directory / "key.pem"
    chain.write_bytes(b"".join(blob.bytes() for blob in (*made.cert_chain_pems, authority.cert_pem)))
    made.private_key_pem.write_to_path(key)
    return chain, key


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory, certificate: tuple[Path, Path]) -> Iterator[Bank]:
    """Over TLS, like in production."""
    directory = tmp_path_factory.mktemp("vault")
    with running_vault(directory, tls=certificate) as server:
        bank = Bank(server, directory / "login", str(certificate[0]))
        bank.bootstrap("openai", "anthropic")
        bank.put(SLOT, "k1")
        bank.put("anthropic/default", "ka")
        yield bank


@asynccontextmanager
async def serving(
    bank: Bank, identity: str = "openai", *, clock: Clock | None = None, **changes: object
) -> AsyncIterator[Service]:
    clocks = {"clock": clock} if clock else {}
    settings = bank.settings(identity, **changes)
    service = Service(settings, SLOT, **clocks)
    try:
        yield service
    finally:
        await service.aclose()


@pytest.fixture(autouse=True)
def fresh(bank: Bank) -> None:
    """Every test logs in with wrapping tokens that nobody used."""
    bank.server.until_ready()
    bank.bootstrap("openai", "anthropic")


def client(bank: Bank, identity: str) -> VaultClient:
    return VaultClient(bank.settings(identity))


@pytest.mark.parametrize(
    ("identity", "allowed"),
    [
        ("openai", {"openai/default", "fingerprint"}),
        ("anthropic", {"anthropic/default", "fingerprint"}),
        ("coordinator", {"openai/default-state", "anthropic/default-state"}),
        ("router", set()),
        ("operator", set()),
    ],
)
def test_an_identity_reads_its_own_path_and_no_other(bank: Bank, identity: str, allowed: set[str]) -> None:
    reader = client(bank, identity)
    paths = ["openai/default", "anthropic/default", "openai/default-state", "anthropic/default-state", "fingerprint"]
    told = {}
    for path in paths:
        try:
            reader.read(path)
            told[path] = "read"
        except VaultTrouble as trouble:
            told[path] = trouble.kind.value
    own = {f"{identity}/default-state"} if identity in ("openai", "anthropic") else set()
    missing = {path for path in (allowed | own) if path.endswith("-state")}
    expected = dict.fromkeys(paths, "denied") | dict.fromkeys(allowed, "read") | dict.fromkeys(missing, "missing")
    assert told == expected
    assert reader.logins == 1, "a denied path is no reason to log in again"
    reader.close()


def test_the_coordinator_writes_stages_and_no_keys(bank: Bank) -> None:
    coordinator = client(bank, "coordinator")
    coordinator._log_in("x")
    kv = coordinator._hvac.secrets.kv.v2
    written = kv.create_or_update_secret(f"antiphon/{SLOT}-state", {"1": {"status": "current"}}, cas=0)
    with pytest.raises(Exception, match="permission denied"):
        kv.create_or_update_secret(f"antiphon/{SLOT}", {"value": "mine"})
    with pytest.raises(Exception, match="permission denied"):
        kv.destroy_secret_versions(f"antiphon/{SLOT}", [1])
    assert written["data"]["version"] == 1
    coordinator.close()
    operator = client(bank, "operator")
    operator._log_in("x")
    assert operator._hvac.secrets.kv.v2.create_or_update_secret("antiphon/anthropic/default", {"value": "kb"})
    operator.close()
    with bank.server.root() as root:
        root.secrets.kv.v2.delete_metadata_and_all_versions(f"antiphon/{SLOT}-state")
    bank.bootstrap("openai")


async def test_the_second_unwrap_raises_an_alarm(bank: Bank) -> None:
    thief = client(bank, "openai")
    thief.read(SLOT)
    async with serving(bank) as service:
        await service.ring.poll()
        (problem,) = service.ring.problems
        assert problem.rule == "intercepted"
        assert "intercepted?" in problem.message
        assert str(bank.logins / "openai.secret-id") in problem.message
        assert "used up" in await service.missing()
        bank.bootstrap("openai")
        await service.ring.poll()
        assert await service.use() == "k1", "a fresh token is taken without a restart"
        assert service.rules == []
    thief.close()


async def test_a_wrapping_token_of_something_else_is_refused(bank: Bank) -> None:
    with bank.server.root() as root:
        forged = root.write_data("sys/wrapping/wrap", data={"secret_id": "x"}, wrap_ttl="1m")["wrap_info"]["token"]
    (bank.logins / "openai.secret-id").write_text(forged)
    async with serving(bank) as service:
        await service.ring.poll()
        assert service.rules == ["intercepted"]
        assert "does not come from" in service.ring.problems[0].message


async def test_a_plain_secret_id_works_too(bank: Bank) -> None:
    with bank.server.root() as root:
        made = root.auth.approle.generate_secret_id("antiphon-openai")["data"]["secret_id"]
    (bank.logins / "openai.secret-id").write_text(made + "\n")
    async with serving(bank) as service:
        await service.ring.poll()
        assert await service.use() == "k1"


async def test_a_token_is_renewed_at_two_thirds_and_replaced_near_its_greatest_age(bank: Bank) -> None:
    clock = Clock()
    async with serving(bank, clock=clock) as service:
        with bank.server.root() as root:
            root.auth.approle.create_or_update_approle(
                "antiphon-openai", token_ttl="30s", token_max_ttl="40s", token_policies=["antiphon-openai"]
            )
        await service.ring.poll()
        token = service.client._hvac.token
        clock.now_s += 19.0
        await service.ring.poll()
        assert (service.client.logins, service.client._hvac.token) == (1, token)
        clock.now_s += 2.0
        renewed_at = service.client._renew_due_s
        await service.ring.poll()
        assert (service.client.logins, service.client._hvac.token) == (1, token), "renewed"
        assert service.client._renew_due_s > renewed_at
        with bank.server.root() as root:
            root.auth.approle.create_or_update_approle(
                "antiphon-openai", token_ttl="1h", token_max_ttl="24h", token_policies=["antiphon-openai"]
            )
        service.client._lease_s = 1e9
        clock.now_s = service.client._renew_due_s
        await service.ring.poll()
        assert service.client.logins == 2, "what a renewal gave was next to nothing"
        assert service.client._hvac.token != token
        assert await service.use() == "k1"
        assert service.rules == []


async def test_a_revoked_token_costs_one_login(bank: Bank) -> None:
    async with serving(bank) as service:
        await service.ring.poll()
        with bank.server.root() as root:
            root.auth.token.revoke(service.client._hvac.token)
        await service.ring.poll()
        await service.ring.poll()
        assert service.client.logins == 2
        assert service.rules == []


async def test_a_policy_that_denies_leaves_the_key_in_service(bank: Bank) -> None:
    async with serving(bank) as service:
        await service.ring.poll()
        with bank.server.root() as root:
            root.sys.create_or_update_policy("antiphon-openai", 'path "elsewhere" { capabilities = ["read"] }')
        for _ in range(3):
            await service.ring.poll()
        assert service.client.logins == 1
        assert service.rules == ["denied"]
        assert await service.use() == "k1"


async def test_a_role_that_is_gone_is_not_asked_for_all_the_time(bank: Bank) -> None:
    clock = Clock()
    async with serving(bank, clock=clock) as service:
        await service.ring.poll()
        with bank.server.root() as root:
            root.auth.approle.delete_role("antiphon-openai")
            root.auth.token.revoke(service.client._hvac.token)
        for _ in range(4):
            await service.ring.poll()
        assert service.client.logins == 2
        assert service.rules == ["identity"]
        assert await service.use() == "k1"
        bank.bootstrap("openai")
        clock.now_s += 60.0
        await service.ring.poll()
        assert service.rules == []


async def test_a_token_file_is_followed(bank: Bank, tmp_path: Path) -> None:
    def issue() -> str:
        with bank.server.root() as root:
            return str(root.auth.token.create(policies=["antiphon-openai"], ttl="1h")["auth"]["client_token"])

    file = tmp_path / "token"
    async with serving(bank, auth="token-file", token_file=str(file)) as service:
        await service.ring.poll()
        assert service.rules == ["identity"]
        first = issue()
        file.write_text(first)
        await service.ring.poll()
        assert await service.use() == "k1"
        with bank.server.root() as root:
            root.auth.token.revoke(first)
        file.write_text(issue())
        await service.ring.poll()
        assert service.rules == []


async def test_another_authority_is_not_trusted(bank: Bank, tmp_path: Path) -> None:
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    service = Service(bank.settings("openai", ca_file=str(tmp_path / "other.pem")), SLOT)
    await service.ring.poll()
    assert service.rules == ["unreachable"]
    assert "certificate" in service.ring.problems[0].message
    await service.aclose()


async def test_a_start_without_vault_waits_with_one_message(bank: Bank) -> None:
    service = Service(bank.settings("openai", address="https://127.0.0.1:9"), SLOT)
    for _ in range(3):
        await service.ring.poll()
    assert service.rules == ["unreachable"]
    assert "https://127.0.0.1:9 cannot be reached" in await service.missing()
    await service.aclose()


async def test_a_path_without_a_key_says_what_to_write(bank: Bank) -> None:
    async with serving(bank) as service:
        with bank.server.root() as root:
            root.secrets.kv.v2.delete_metadata_and_all_versions(f"antiphon/{SLOT}")
        await service.ring.poll()
        assert "openai/default" in await service.missing()
        bank.put(SLOT, "k1")
        await service.ring.poll()
        assert await service.use() == "k1"


async def test_sealed_frozen_killed_and_back(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls go on through all of it, the loop never waits, and what was missed is known at once afterwards."""
    async with serving(bank) as service:
        await service.ring.poll()
        held = await service.use()
        server = bank.server
        for hurt, mend, rule in (
            (server.seal, server.until_ready, "sealed"),
            (server.freeze, server.thaw, "unreachable"),
            (server.kill, lambda: (server.start(), server.until_ready()), "unreachable"),
        ):
            await asyncio.to_thread(hurt) if hurt is server.seal else hurt()
            confirmed_s = service.ring.slots[0].confirmed_s
            polling = asyncio.create_task(service.ring.poll())
            ticks = 0
            while not polling.done():
                ticks += 1
                await asyncio.sleep(0.01)
                assert await service.use() == held
            await polling
            assert service.rules == [rule], hurt
            assert service.ring.slots[0].confirmed_s == confirmed_s
            if hurt == server.freeze:
                assert ticks > 20, "the loop went on while a thread waited for two seconds"
            mend()
            held = f"after-{rule}-{next(COUNT)}"
            bank.put(SLOT, held)
            await service.ring.poll()
            service.ring.slots[0].versions[0].successes = 20
            await service.ring.poll()
            assert await service.use() == held
            assert service.rules == []


COUNT = itertools.count()


async def test_the_alarm_comes_after_a_minute_and_the_stop_exactly_at_the_limit(bank: Bank) -> None:
    async with serving(bank, max_staleness_s=90.0) as service:
        await service.ring.poll()
        held = await service.use()
        slot = service.keys._slots[0]
        server = bank.settings("openai").address
        slot.seen.confirmed_s = time.monotonic() - 59.0
        slot.watch_age(server)
        assert service.rules == []
        slot.seen.confirmed_s -= 2.0
        slot.watch_age(server)
        assert service.rules == ["stale"]
        assert await service.use() == held
        slot.seen.confirmed_s = time.monotonic() - 89.9
        assert await service.use() == held
        slot.seen.confirmed_s -= 0.2
        slot.watch_age(server)
        assert "did not confirm openai/default" in await service.missing()
        assert "out of use" in service.ring.problems[0].message
        await service.ring.poll()
        assert await service.use() == held
        assert service.rules == []


def test_audit_has_what_happened_and_no_key(bank: Bank) -> None:
    lines = [json.loads(line) for line in bank.server.audit.read_text().splitlines()]
    assert any(f"antiphon/{SLOT}" in line["request"].get("path", "") for line in lines)
    assert '"k1"' not in bank.server.audit.read_text()


def test_what_is_no_answer_is_trouble_and_not_an_accident(bank: Bank) -> None:
    reader = client(bank, "openai")
    reader._hvac.token = "x"

    def odd() -> object:
        raise KeyError("auth")

    with pytest.raises(VaultTrouble) as caught:
        reader._attempt(odd, "p")
    assert caught.value.kind is Trouble.BROKEN
    reader.close()
