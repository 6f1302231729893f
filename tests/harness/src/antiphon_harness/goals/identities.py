"""Owns the goals about who services are to the secret store: tokens that end, and what each may read."""

import asyncio
import time
from typing import Any, Final

import hvac
import hvac.exceptions
import requests

from antiphon_harness import checker
from antiphon_harness.goal import Bound, Figures, Goal
from antiphon_harness.key_watch import KeyWatch, asked
from antiphon_harness.loadgen import Ask
from antiphon_harness.processes import HarnessError
from antiphon_harness.secret_store import MOUNT, PREFIX
from antiphon_harness.vault_bed import VAULTED, VaultBed, until_so

_ROLE: Final = "antiphon-openai"
_USUAL: Final = {"token_ttl": "1h", "token_max_ttl": "24h"}


async def tokens(bed: VaultBed) -> Figures:
    """Tokens that have to be renewed, that may not be any more, that are revoked; a wrapped secret-id opened before."""
    store = bed.store
    ttl_s = bed.count(4, 2)
    max_s = 3 * ttl_s
    await store.ask(_role(token_ttl=f"{ttl_s}s", token_max_ttl=f"{max_s}s"))
    size = store.audit_size()
    await bed.start_anew({"ANTIPHON_VAULT_POLL_S": "0.5"})
    number = len(bed.processes)
    async with KeyWatch(bed.processes) as watch, bed.load() as shots:
        started = time.monotonic()
        await watch.until("version 1 in service", lambda: watch.everywhere(1, "CURRENT"))
        for_s = bed.pick(5.0, 1.5) * max_s
        await asyncio.sleep(for_s)
        logins = store.logins_of("openai", size)
        # A login when it starts, and one each time that the token's greatest age leaves no time to renew it.
        ends = 1 + (time.monotonic() - started) // (max_s - ttl_s)
        await store.ask(_role(**_USUAL))
        await asyncio.sleep(max_s)  # the next tokens last for an hour
        size = store.audit_size()
        await store.ask(_revoke_tokens)

        async def anew() -> bool:
            return store.logins_of("openai", size) >= number

        again_s = await until_so(anew, 20.0) - time.monotonic()
        await asyncio.sleep(3.0)
        after_revocation = store.logins_of("openai", size)
        troubles = sorted(watch.rules())
    return {
        "calls": len(shots),
        "failed": len(checker.failed(shots)),
        "logins per process and end of a token": logins / (number * ends),
        "logins per process": logins / number,
        "logins per process after all tokens were revoked": after_revocation / number,
        "did not log in anew": float(again_s == float("inf")),
        "problems in the end": len(troubles),
        "alarm about a secret-id that was opened before": await _opened_before(bed),
    }


def _role(**fields: str) -> Any:
    def work(root: hvac.Client) -> None:
        root.auth.approle.create_or_update_approle(
            _ROLE, token_policies=[_ROLE], secret_id_num_uses=0, bind_secret_id=True, **fields
        )

    return work


def _revoke_tokens(root: hvac.Client) -> None:
    """Those of the role, by their accessors."""
    for accessor in root.auth.token.list_accessors()["data"]["keys"]:
        try:
            found = root.auth.token.lookup_accessor(accessor)["data"]
        except hvac.exceptions.VaultError:
            continue  # over meanwhile
        if (found.get("meta") or {}).get("role_name") == _ROLE:
            root.auth.token.revoke_accessor(accessor)


async def _opened_before(bed: VaultBed) -> float:
    """Whether a service that comes second says so, and does not serve."""
    store = bed.store
    env = await bed.settings("robbed")
    token = store.handed_out["wrapping token of robbed"]
    await store.ask(lambda root: _unwrap(root, token))
    robbed = await bed.suite.ours("robbed", "antiphon_provider_openai", env)
    bed.suite.callback(robbed.end)

    async def told() -> bool:
        return any(one.rule == "intercepted" for one in (await asked(robbed.address)).problems)

    found = await until_so(told, 20.0, 0.3)
    async with bed.client(robbed.address) as client:
        served = (await client.shoot(Ask(model="m", timeout_s=10.0))).ok
    robbed.end()
    return float(found != float("inf") and not served)


def _unwrap(root: hvac.Client, token: str) -> None:
    thief = hvac.Client(url=root.url, token=token, session=_session())
    try:
        thief.sys.unwrap()
    finally:
        thief.adapter.close()


def _session() -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    return session


G22: Final = Goal(
    id="G22",
    title="tokens of the secret store end, are revoked, and a wrapped secret-id was opened before",
    backends=VAULTED,
    bed=VaultBed,
    bounds=(
        Bound("failed", most=0),
        Bound("logins per process and end of a token", most=1.0),
        Bound("logins per process", least=2.0),
        Bound("logins per process after all tokens were revoked", most=1.0, least=1.0),
        Bound("did not log in anew", most=0),
        Bound("problems in the end", most=0),
        Bound("alarm about a secret-id that was opened before", least=1),
    ),
    bare=True,
    run=tokens,
)

_STRANGE: Final = {
    "openai": ("anthropic/default", "anthropic/default-state", "", "openai"),
    "anthropic": ("{slot}", "{slot}-state"),
    "router": ("{slot}", "{slot}-state", "anthropic/default", "fingerprint"),
    "coordinator": ("{slot}", "anthropic/default", "fingerprint"),
    "operator": ("{slot}", "anthropic/default", "fingerprint"),
}
"""What each identity must not read: data for paths, the list for folders (without a name)."""


async def identities(bed: VaultBed) -> Figures:
    """Every identity tries what is not its own; and a service is told to use another provider's key."""
    store = bed.store
    await store.put("anthropic/default", "sk-harness-other")
    read: list[str] = []
    tries = 0
    for service, paths in _STRANGE.items():
        files = await store.login(service, f"try-{service}", wrapped=False)
        for path in paths:
            tries += 1
            if await asyncio.to_thread(_reads, store.server.address, files, path.format(slot=bed.slot)):
                read.append(f"{service}: {path}")
    own = await store.login("openai", "try-own", wrapped=False)
    reads_own = await asyncio.to_thread(_reads, store.server.address, own, bed.slot)
    writes = await asyncio.to_thread(_writes, store.server.address, own, bed.slot)
    strange = await bed.replica("strange", slot="anthropic/default")

    async def denied() -> bool:
        return any(one.rule == "denied" for one in (await asked(strange.address)).problems)

    told = await until_so(denied, 20.0, 0.2)
    if read:
        raise HarnessError(f"readable: {'; '.join(read)}")
    return {
        "tries": tries,
        "strange paths that could be read": len(read),
        "own path could be read": float(reads_own),
        "a service could write its own key": float(writes),
        "a service with another provider's slot says that it is denied": float(told != float("inf")),
        "keys that it got": len((await asked(strange.address)).uses),
    }


def _logged_in(address: str, files: dict[str, str]) -> hvac.Client:
    client = hvac.Client(url=address, token="", session=_session())
    role_id, secret_id = (open(files[f"ANTIPHON_VAULT_{name}_FILE"]).read() for name in ("ROLE_ID", "SECRET_ID"))  # noqa: SIM115
    client.auth.approle.login(role_id, secret_id)
    return client


def _reads(address: str, files: dict[str, str], path: str) -> bool:
    client = _logged_in(address, files)
    full = f"{PREFIX}/{path}".rstrip("/")
    kv = client.secrets.kv.v2
    try:
        if "/" in path or path == "fingerprint":
            kv.read_secret_version(full, mount_point=MOUNT, raise_on_deleted_version=True)
        else:
            kv.list_secrets(full, mount_point=MOUNT)
    except (hvac.exceptions.Forbidden, hvac.exceptions.Unauthorized):
        return False
    except hvac.exceptions.InvalidPath:
        return True  # allowed to look, and there is nothing
    finally:
        client.adapter.close()
    return True


def _writes(address: str, files: dict[str, str], path: str) -> bool:
    client = _logged_in(address, files)
    try:
        client.secrets.kv.v2.create_or_update_secret(f"{PREFIX}/{path}", {"value": "x"}, mount_point=MOUNT)
    except hvac.exceptions.Forbidden:
        return False
    finally:
        client.adapter.close()
    return True


G22B: Final = Goal(
    id="G22b",
    title="no identity reads what is another's",
    backends=VAULTED,
    bed=VaultBed,
    bounds=(
        Bound("tries", least=15),
        Bound("strange paths that could be read", most=0),
        Bound("own path could be read", least=1),
        Bound("a service could write its own key", most=0),
        Bound("a service with another provider's slot says that it is denied", least=1),
        Bound("keys that it got", most=0),
    ),
    run=identities,
)
