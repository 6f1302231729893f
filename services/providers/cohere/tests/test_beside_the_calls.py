"""What is asked beside the calls, through the SDK: models, readiness; and how the service is configured."""

import json

import pytest
from adapter_calls import JSON, failure

from antiphon_contract.errors import reason_name
from antiphon_kit.secrets import EnvSecret, FileSecret
from antiphon_kit.settings import ServiceSettings, SettingError
from antiphon_provider_cohere import vendor as vendors
from antiphon_provider_cohere.adapter import CohereAdapter
from antiphon_provider_cohere.settings import cohere_account
from antiphon_wires import readiness

KEY = "co-test-0123456789abcdef"


def page(*names, token=None):
    models = [{"name": name, "endpoints": ["chat"]} for name in names]
    return json.dumps({"models": models, "next_page_token": token}).encode()


@pytest.fixture
async def provider(vendor):
    made = CohereAdapter(EnvSecret({"K": KEY}, "K"), base_url=vendor.url)
    yield made
    await made.aclose()


async def test_models_of_all_pages(vendor, provider):
    vendor.says(page("b", token="t2"), then=[page("a")], **JSON)
    assert [model.id for model in await provider.list_models()] == ["cohere/b", "cohere/a"]
    first, second = vendor.requests
    assert first.path == "/v1/models?page_size=1000"
    assert second.path == "/v1/models?page_size=1000&page_token=t2"
    assert first.headers["authorization"] == f"Bearer {KEY}"


async def test_a_list_without_end(vendor, provider, monkeypatch):
    monkeypatch.setattr(vendors, "_MAX_PAGES", 3)
    vendor.says(page("a", token="t"), **JSON)
    assert reason_name((await failure(provider.list_models())).reason) == "UPSTREAM_PROTOCOL"
    assert len(vendor.requests) == 3


@pytest.mark.parametrize("body", [b"x", b'{"models": 5}'])
async def test_a_list_that_is_none(vendor, provider, body):
    vendor.says(body, **JSON)
    assert reason_name((await failure(provider.list_models())).reason) == "UPSTREAM_PROTOCOL"


async def test_readiness_asks_at_most_once_a_minute_while_all_is_well(vendor, provider, monkeypatch):
    vendor.says(page("a"), **JSON)
    for _ in range(3):
        await provider.ready()
    assert [received.path for received in vendor.requests] == ["/v1/models?page_size=1"]
    monkeypatch.setattr(readiness, "READY_FOR_S", 0.0)
    provider._readiness = readiness.Readiness()
    for _ in range(2):
        await provider.ready()
    assert len(vendor.requests) == 3


async def test_another_key_is_not_believed_before_it_was_tried(vendor, tmp_path, monkeypatch):
    file = tmp_path / "key"
    file.write_text("first")
    clock = [0.0]
    monkeypatch.setattr("antiphon_kit.secrets.time.monotonic", lambda: clock[0])
    vendor.says(page("a"), **JSON)
    provider = CohereAdapter(FileSecret(file), base_url=vendor.url)
    await provider.ready()
    file.write_text("second!")
    clock[0] = 2.0
    vendor.says(b"{}", status=401)
    assert reason_name((await failure(provider.ready())).reason) == "PROVIDER_CREDENTIALS"
    await provider.aclose()


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [(401, b'{"message": "invalid api token"}', "PROVIDER_CREDENTIALS"), (498, b"no json", "PROVIDER_CREDENTIALS"),
     (500, b"", "PROVIDER_ERROR"), (302, b"", "UPSTREAM_PROTOCOL"),
     (429, b'{"message": "limited to 1000 API calls / month"}', "QUOTA_EXHAUSTED")],
)  # fmt: skip
async def test_not_ready(vendor, provider, status, body, reason):
    vendor.says(body, status=status, Location="http://127.0.0.1:1/")
    for _ in range(2):
        assert reason_name((await failure(provider.ready())).reason) == reason
    assert len(vendor.requests) == 2, "asked again, and never repeated by the SDK"


@pytest.mark.parametrize("status", [404, 405, 429])
async def test_reachable_is_enough_to_be_ready(vendor, provider, status):
    vendor.says(b'{"message": "x"}', status=status)
    await provider.ready()


async def test_a_vendor_that_does_not_answer_the_probe(vendor):
    async def reply(_, writer):
        await vendor.hung_up.wait()

    vendor.reply = reply
    provider = CohereAdapter(EnvSecret({"K": KEY}, "K"), base_url=vendor.url, connect_timeout_s=0.05)
    assert reason_name((await failure(provider.ready())).reason) == "UPSTREAM_TIMEOUT"
    await provider.aclose()
    vendor.hung_up.set()


async def test_tokens_are_not_counted(provider):
    assert reason_name((await failure(provider.count_tokens(None))).reason) == "OPERATION_UNSUPPORTED"


# -- settings


@pytest.mark.parametrize(
    ("env", "key"),
    [
        ({"COHERE_API_KEY": "ours"}, "ours"),
        ({"CO_API_KEY": "sdks"}, "sdks"),
        ({"COHERE_API_KEY": "ours", "CO_API_KEY": "sdks"}, "ours"),
        ({"COHERE_API_KEY": "ours", "COHERE_API_KEY_FILE": "key"}, "from-file"),
    ],
)
@pytest.mark.parametrize("url", ["COHERE_BASE_URL", "CO_API_URL"])
async def test_settings(vendor, tmp_path, env, key, url):
    (tmp_path / "key").write_text("from-file")
    env = {name: str(tmp_path / value) if name.endswith("FILE") else value for name, value in env.items()}
    vendor.says(page("a"), **JSON)
    provider = cohere_account({**env, url: f"{vendor.url}/v1/"})(ServiceSettings())
    await provider.ready()
    await provider.aclose()
    assert vendor.requests[0].path == "/v1/models?page_size=1"
    assert vendor.requests[0].headers["authorization"] == f"Bearer {key}"


async def test_an_address_that_is_none():
    with pytest.raises(SettingError, match="COHERE_BASE_URL"):
        cohere_account({"COHERE_BASE_URL": "not a url", "COHERE_API_KEY": "k"})(ServiceSettings())
