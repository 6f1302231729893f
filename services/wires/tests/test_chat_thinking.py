"""Dialects with a switch for reasoning: the switch, levels, what it silences, what must go back, where it goes."""

import contextlib
import json
from dataclasses import replace

import pytest
from chat_request import ERROR, USER, WARN, body, encoded, messages, refused, warnings
from google.protobuf import text_format

from antiphon.llm.v1 import chat_pb2, completion_pb2, models_pb2
from antiphon_kit.provider import Job, Turn
from antiphon_kit.settings import ServiceSettings
from antiphon_wires.openai_chat.adapter import OpenAIChatAdapter
from antiphon_wires.openai_chat.codec import OPENAI, Thinking, encode_completion, support
from antiphon_wires.openai_chat.service import known_vendor

ON = replace(
    OPENAI,
    name="ds",
    reasoning_field="reasoning_content",
    prefill_field="prefix",
    beta_path="/beta",
    thinking=Thinking(by_default=True, ignores=frozenset({"temperature"})),
    efforts=("low", "high", "max"),
    effort_aliases={"medium": "high"},
)
OFF = replace(ON, thinking=replace(ON.thinking, by_default=False, member="think"))
HOT = "params { temperature: 0.5 top_p: 0.5 "
CLAMPED = [("PARAM_CLAMPED", "params.reasoning.effort")]
CALLED = 'messages { role: ROLE_ASSISTANT parts { tool_call { id: "c" name: "f" } } '


@pytest.mark.parametrize(
    ("reasoning", "switch", "effort", "warned"),
    [
        ("", None, None, []),
        ("mode: MODE_ADAPTIVE", None, None, []),
        ("mode: MODE_ENABLED", "enabled", None, []),
        ("mode: MODE_DISABLED", "disabled", None, []),
        ('effort: "none"', "disabled", None, []),
        ('effort: "minimal"', "enabled", "low", CLAMPED),
        ('effort: "low"', "enabled", "low", []),
        ('effort: "medium"', "enabled", "high", CLAMPED),
        ('effort: "high" mode: MODE_ENABLED', "enabled", "high", []),
        ('effort: "xhigh"', "enabled", "high", CLAMPED),
        ('effort: "max"', "enabled", "max", []),
        ('effort: "ultra"', "enabled", "ultra", []),
    ],
)
def test_the_switch_and_the_levels(reasoning, switch, effort, warned):
    text = f"{USER} params {{ reasoning {{ {reasoning} }} }}"
    for dialect, member in ((ON, "thinking"), (OFF, "think")):
        sent = body(text, dialect)
        assert sent.get(member) == (switch and {"type": switch})
        assert sent.get("reasoning_effort") == effort
        assert warnings(text, dialect) == warned


@pytest.mark.parametrize(
    ("dialect", "reasoning", "sent"),
    [
        (ON, "", False),
        (ON, "reasoning { mode: MODE_DISABLED }", True),
        (ON, 'reasoning { effort: "none" }', True),
        (OFF, "", True),
        (OFF, "reasoning { mode: MODE_ENABLED }", False),
        (OFF, 'reasoning { effort: "low" }', False),
    ],
)
def test_what_has_no_effect_while_it_reasons_is_not_sent(dialect, reasoning, sent):
    text = f"{USER} {HOT} {reasoning} }}"
    assert ("temperature" in body(text, dialect)) is sent
    assert body(text, dialect)["top_p"] == 0.5
    assert warnings(text, dialect) == ([] if sent else [("PARAM_DROPPED", "params.temperature")])
    if not sent:
        assert refused(text + ERROR, dialect) == ("PARAM_UNSUPPORTED", "params.temperature")


def test_models_tell_what_has_no_effect_by_default():
    assert support(ON)["params.temperature"] == models_pb2.SUPPORT_IGNORED
    assert support(ON)["params.top_p"] == models_pb2.SUPPORT_NATIVE
    assert support(OFF)["params.temperature"] == models_pb2.SUPPORT_NATIVE


def test_a_call_of_tools_goes_back_with_reasoning_while_it_reasons():
    missing = [("PART_DROPPED", "prompt.messages[0]")]
    assert messages(f"{CALLED} }}", ON)[0]["reasoning_content"] == ""
    assert warnings(f"prompt {{ {CALLED} }} }}", ON) == missing
    assert "reasoning_content" not in messages(f"{CALLED} }}", OFF)[0]
    assert "reasoning_content" not in messages('messages { role: ROLE_ASSISTANT parts { text { text: "a" } } }', ON)[0]
    for said in ("", "hm"):
        text = f'{CALLED} parts {{ reasoning {{ text: "{said}" }} }} }}'
        assert messages(text, ON)[0]["reasoning_content"] == said
        assert warnings(f"prompt {{ {text} }}", ON) == []


SAID = 'messages { role: ROLE_USER parts { text { text: "hi" } } }'
STRICT = f'prompt {{ {SAID} tools {{ function {{ name: "f" strict: true }} }} }} '
LOOSE = f'prompt {{ {SAID} tools {{ function {{ name: "f" }} }} }} '
PREFILL = f'prompt {{ {SAID} messages {{ role: ROLE_ASSISTANT prefill: true parts {{ text {{ text: "So" }} }} }} }} '
CHUNK = {
    "id": "c",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "delta": {"content": "hi"}, "text": "hi", "finish_reason": "stop"}],
}


def test_beta_features_have_a_path_of_their_own():
    assert encoded(USER, ON).path == encoded(LOOSE, ON).path == ""
    assert encoded(STRICT, ON).path == encoded(PREFILL, ON).path == "/beta/chat/completions"
    assert encoded(STRICT).path == encoded(PREFILL + WARN).path == ""


async def test_the_adapter_goes_there(vendor):
    vendor.says(b"data: %b\n\ndata: [DONE]\n\n" % json.dumps(CHUNK).encode())
    dialect = replace(ON, base_url=vendor.url, completion_path="/beta/completions")
    adapter = OpenAIChatAdapter(dialect, None)
    fim = text_format.Parse('prompt { text: "Once" suffix: "end" }', completion_pb2.StreamCompleteRequest())
    chats = [text_format.Parse(text, chat_pb2.StreamGenerateRequest()) for text in (USER, PREFILL)]
    answers = [adapter.generate(Turn(chat, "m")) for chat in chats] + [adapter.complete(Job(fim, "m"))]
    try:
        for answer in answers:
            async with contextlib.aclosing(answer) as batches:
                assert [batch async for batch in batches]
    finally:
        await adapter.aclose()
    paths = [received.path for received in vendor.requests]
    assert paths == ["/v1/chat/completions", "/v1/beta/chat/completions", "/v1/beta/completions"]


async def test_settings_bear_the_name_of_the_vendor(vendor):
    vendor.says(b'{"data": []}')
    env = {"X_AI_EU_API_KEY": "k", "X_AI_EU_BASE_URL": vendor.url}
    adapter = known_vendor(replace(ON, name="x.ai-eu"), env)(ServiceSettings())
    await adapter.ready()
    await adapter.aclose()
    assert vendor.requests[0].headers["authorization"] == "Bearer k"


def test_a_dialects_own_word_counts_for_completions_too():
    request = text_format.Parse(
        'prompt { text: "x" } params { end_user_id: "u" temperature: 1 }', completion_pb2.StreamCompleteRequest()
    )
    sent = json.loads(encode_completion(request, replace(ON, params={"end_user_id": "user_id"}), model="m").body)
    assert (sent["user_id"], sent["temperature"]) == ("u", 1)
    assert json.loads(encode_completion(request, ON, model="m").body)["user"] == "u"
