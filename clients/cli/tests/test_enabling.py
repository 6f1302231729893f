"""`enable`: an operator has mended what put a target out."""

import json
import time

import pytest

from antiphon.router.v1 import health_pb2, router_pb2
from antiphon_client.testing import ScriptedRouter, answering


@pytest.fixture
def backends():
    key = health_pb2.Target(scope="SCOPE_KEY", id="openai-a", state="HEALTH_STATE_DISABLED")
    key.reason, key.rule = health_pb2.HEALTH_REASON_AUTH, "auth"
    key.since_time.FromSeconds(int(time.time()) - 300)
    key.next_try_time.FromSeconds(int(time.time()) - 1)
    pool = health_pb2.Target(scope="SCOPE_POOL", id="openai/gpt", state="HEALTH_STATE_RATE_LIMITED")
    pool.next_try_time.FromSeconds(int(time.time()) + 330)
    return [router_pb2.Backend(id="openai-a", provider="openai", targets=[pool, key])]


async def test_what_was_meant_is_shown_as_it_is_now(antiphon, backends):
    async with ScriptedRouter(answering(), backends=backends) as router:
        ran = await antiphon("enable", "openai-a", "--admin-address", router.address)
        one = await antiphon("enable", "openai/gpt", "--json", "--admin-address", router.address)
    assert ran.code == 0, ran.err
    header, pool, key = ran.out.splitlines()
    assert header.split()[:4] == ["SCOPE", "TARGET", "STATE", "REASON"]
    assert pool.startswith("pool   openai/gpt  rate_limited")
    assert "in 5 min" in pool, "a rate limit is not undercut"
    assert key.startswith("key    openai-a    disabled")
    assert "auth (auth)" in key
    assert "with the next call" in key
    assert router.enabled == ["openai-a", "openai/gpt"]
    assert [target["id"] for target in json.loads(one.out)["targets"]] == ["openai/gpt"]


async def test_an_id_that_nothing_has(antiphon, backends):
    async with ScriptedRouter(answering(), backends=backends) as router:
        ran = await antiphon("enable", "nosuch", "--admin-address", router.address)
    assert (ran.code, ran.out) == (5, "")
    assert ran.err == "antiphon: there is no target and no backend 'nosuch'; `antiphon status` lists what there is\n"


async def test_without_a_router_and_without_an_id(antiphon):
    ran = await antiphon("enable", "a", "--admin-address", "127.0.0.1:1")
    assert ran.code == 3
    assert "--admin-address or ANTIPHON_ADMIN_ADDRESS" in ran.err
    none = await antiphon("enable")
    assert none.code == 2
    assert "TARGET_ID" in none.err
    assert "antiphon enable --help" in none.err
