"""`models` and `providers`: tables for people, JSON for scripts."""

import json
import time

import pytest

from antiphon.llm.v1 import models_pb2
from antiphon.router.v1 import health_pb2, router_pb2
from antiphon_client.testing import ScriptedRouter, answering

MODELS = [
    models_pb2.Model(id="local/smol", provider="local", native_id="smol", max_input_tokens=8192),
    models_pb2.Model(id="openai/gpt", provider="openai", native_id="gpt", aliases=["best", "big"]),
    models_pb2.Model(id="openai/mini", provider="openai", native_id="mini"),
]


@pytest.fixture
def backends():
    now = time.time()
    summary = health_pb2.Target(id="openai-a", state=health_pb2.HEALTH_STATE_DISABLED)
    summary.reason = health_pb2.HEALTH_REASON_AUTH
    summary.since_time.FromSeconds(int(now) - 300)
    summary.last_error.message = "the provider refuses the key\nset OPENAI_API_KEY"
    replica = health_pb2.Target(scope=health_pb2.SCOPE_REPLICA, id="127.0.0.1:9", state=health_pb2.HEALTH_STATE_OPEN)
    replica.reason = health_pb2.HEALTH_REASON_UNREACHABLE
    replica.next_try_time.FromSeconds(int(now) + 60)
    healthy = health_pb2.Target(state=health_pb2.HEALTH_STATE_HEALTHY)
    return [
        router_pb2.Backend(id="local-a", provider="local", summary=healthy),
        router_pb2.Backend(id="openai-a", provider="openai", summary=summary, targets=[replica]),
        router_pb2.Backend(id="later-a", provider="later"),
    ]


async def test_models(antiphon):
    async with ScriptedRouter(answering(), models=MODELS) as router:
        everything = await antiphon("models", "--address", router.address)
        some = await antiphon("models", "--provider", "openai", "--json", "--address", router.address)
        none = await antiphon("models", "--provider", "nosuch", "--address", router.address)
    assert everything.out.splitlines() == [
        "MODEL        PROVIDER  NATIVE ID  INPUT TOKENS  ALIASES",
        "local/smol   local     smol       8192          -",
        "openai/gpt   openai    gpt        -             best, big",
        "openai/mini  openai    mini       -             -",
    ]
    assert [model["id"] for model in json.loads(some.out)["models"]] == ["openai/gpt", "openai/mini"]
    assert none.code == 5
    assert "'nosuch'; known providers: local, openai; see `antiphon providers`" in none.err


async def test_providers(antiphon, backends):
    async with ScriptedRouter(answering(), models=MODELS, backends=backends) as router:
        both = ["--address", router.address, "--admin-address", router.address]
        ran = await antiphon("providers", *both)
        as_json = await antiphon("providers", "--json", *both)
        without = await antiphon("providers", "--address", router.address, "--admin-address", "127.0.0.1:1")
    assert ran.out.splitlines() == [
        "PROVIDER  MODELS  BACKENDS",
        "later     0       later-a not seen yet",
        "local     1       local-a healthy",
        "openai    2       openai-a disabled (auth)",
    ]
    assert json.loads(as_json.out)["providers"][2]["backends"] == [
        {"id": "openai-a", "state": "disabled", "reason": "auth"}
    ]
    assert without.out.splitlines()[1:] == ["local     1       -", "openai    2       -"]
