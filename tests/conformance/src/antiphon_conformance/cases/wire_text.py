"""Owns the cases about plain answers: text, roles, parameters, finishes, usage, every legal way to write a stream."""

import json
from typing import Any

import pytest

from antiphon.llm.v1 import content_pb2, models_pb2, options_pb2, response_pb2, usage_pb2
from antiphon_conformance.calling import Ask, say
from antiphon_conformance.cases.scripted import Scripted
from antiphon_conformance.outcome import Outcome
from antiphon_conformance.vendor import scenes
from antiphon_conformance.vendor.scenes import Scene
from antiphon_conformance.vendor.sse import ODDITIES
from antiphon_conformance.vendor.stage import Vendor
from antiphon_conformance.wires import SSE, Counts, encoded, streamed

Finish = response_pb2.FinishReason
Role = content_pb2.Role
Source = usage_pb2.Usage.Source
WHOLE = scenes.text(scenes.PLAIN_TOKENS)
EXACT = {
    "temperature": 0.1,
    "top_p": 0.95,
    "top_k": 40,
    "min_p": 0.05,
    "frequency_penalty": -0.5,
    "presence_penalty": 0.5,
    "repetition_penalty": 1.1,
    "seed": 9007199254740993,
    "logprobs": True,
    "parallel_tool_calls": False,
    "store": False,
}
# What happens without the parameter, everywhere: to ask for it is nothing that a vendor could lack.
DEFAULTS = {"candidate_count": 1, "parallel_tool_calls": True, "logprobs": False}
ZEROES = {"temperature": 0.0, "frequency_penalty": 0.0, "presence_penalty": 0.0, "seed": 0, "logprobs": False}


class TextCases(Scripted):
    """Plain answers."""

    async def test_plain_text_arrives_whole(self, ask: Ask, vendor: Vendor) -> None:
        play = vendor.play(Scene.PLAIN)
        outcome = await ask(play.model)
        answer, end = outcome.answer, outcome.record
        assert answer.text == WHOLE
        assert answer.finish.reason == Finish.FINISH_REASON_STOP
        assert answer.finish.native_reason
        assert end.outcome == response_pb2.ResponseEnd.OUTCOME_COMPLETED
        assert (end.usage.input_tokens, end.usage.output_tokens, end.usage.source) == (7, 12, Source.SOURCE_PROVIDER)
        assert json.loads(end.usage.native_json)
        assert play.calls == 1

    async def test_tells_who_answered(self, ask: Ask, vendor: Vendor, declared: models_pb2.Model) -> None:
        outcome = await ask(vendor.play(Scene.PLAIN).model)
        start = outcome.answer.start
        assert start is not None
        assert start.provider == declared.provider
        assert start.provider_response_id
        assert start.provider_request_id == "req_scripted"
        assert start.state_domain

    async def test_takes_an_attempt_id_into_the_response_id(self, ask: Ask, vendor: Vendor) -> None:
        if ask.target.routed:
            return  # a router gives ids of its own
        request = ask.request(vendor.play(Scene.PLAIN).model)
        outcome = await ask.send(request, metadata=[("antiphon-attempt-id", "abc-1_Z")])
        assert outcome.record.response_id.endswith(".abc-1_Z")

    async def test_takes_the_name_that_it_lists_and_asks_for_the_vendors(
        self, ask: Ask, vendor: Vendor, declared: models_pb2.Model
    ) -> None:
        play = vendor.play(Scene.PLAIN)
        request = ask.request(play.model)
        request.model = f"{declared.provider}/{play.model}"
        assert (await ask.send(request)).ok
        assert play.calls == 1

    async def test_text_without_a_letter_is_no_crash(self, ask: Ask, vendor: Vendor) -> None:
        for text in ("", " \n\t "):
            outcome = await ask(vendor.play(Scene.PLAIN).model, text)
            assert outcome.reason in ("OK", "INVALID_REQUEST")

    @pytest.mark.parametrize("scene", [Scene.UNICODE, Scene.DRIP], ids=lambda scene: scene.slug)
    async def test_text_of_every_script_is_unchanged(self, ask: Ask, vendor: Vendor, scene: Scene) -> None:
        outcome = await ask(vendor.play(scene).model)
        assert outcome.answer.text == scenes.UNICODE
        assert not outcome.record.warnings

    async def test_halves_of_a_code_point_are_joined(self, ask: Ask, vendor: Vendor) -> None:
        outcome = await ask(vendor.play(Scene.SPLIT_SURROGATES).model)
        assert outcome.answer.text == "😀".join(scenes.AROUND_EMOJI)
        assert not outcome.record.warnings

    async def test_half_a_code_point_is_replaced_with_a_warning(self, ask: Ask, vendor: Vendor) -> None:
        outcome = await ask(vendor.play(Scene.LONE_SURROGATE).model)
        assert outcome.answer.text == "\ufffd".join(scenes.AROUND_EMOJI)
        assert [kind for kind, _ in _warnings(outcome)] == [response_pb2.Warning.KIND_UPSTREAM_MALFORMED]

    async def test_sends_the_users_text_unchanged(self, ask: Ask, vendor: Vendor) -> None:
        outcome = await ask(vendor.play(Scene.ECHO).model, scenes.UNICODE)
        assert outcome.answer.text == scenes.UNICODE

    async def test_keeps_the_order_of_roles(self, ask: Ask, vendor: Vendor) -> None:
        play = vendor.play(Scene.PLAIN)
        request = ask.request(play.model)
        del request.prompt.messages[:]
        said = (Role.ROLE_SYSTEM, Role.ROLE_USER, Role.ROLE_ASSISTANT, Role.ROLE_DEVELOPER, Role.ROLE_USER)
        for number, role in enumerate(said):
            say(request, role, f"text {number}")
        assert (await ask.send(request)).ok
        heard = vendor.wire.conversation(play.last.request)
        assert [text for _, text in heard] == [f"text {number}" for number in range(5)]
        roles = [role for role, _ in heard]
        assert roles[:3] == ["system", "user", "assistant"]
        assert roles[3] in ("developer", "system")

    # Parameters.

    async def test_sends_no_parameter_that_is_not_set(self, ask: Ask, vendor: Vendor) -> None:
        play = vendor.play(Scene.PLAIN)
        assert (await ask(play.model)).ok
        body = json.loads(play.last.request.body)
        assert not {member for member in vendor.wire.parameters.values() if isinstance(member, str)} & set(body)

    @pytest.mark.parametrize(("name", "value"), [*EXACT.items(), *ZEROES.items()], ids=str)
    async def test_sends_a_parameter_as_it_is_or_says_that_it_did_not(
        self, ask: Ask, vendor: Vendor, declared: models_pb2.Model, name: str, value: float
    ) -> None:
        path = f"params.{name}"
        support = declared.support.get(path, models_pb2.SUPPORT_UNSPECIFIED)
        play = vendor.play(Scene.PLAIN)
        outcome = await ask(play.model, **{name: value})
        member = vendor.wire.parameters.get(name)
        if support == models_pb2.SUPPORT_REJECTED and (name, value) not in DEFAULTS.items():
            assert (outcome.reason, outcome.error.param, play.calls) == ("PARAM_UNSUPPORTED", path, 0)
            return
        assert outcome.ok
        body: dict[str, Any] = json.loads(play.last.request.body)
        warned = _warnings(outcome)
        least, greatest = vendor.wire.bounds.get(name, (value, value))
        if support == models_pb2.SUPPORT_NATIVE:
            nearest = min(max(value, least), greatest)
            assert member is not None
            assert callable(member) or member in body
            assert (body[member] if isinstance(member, str) else member(body)) == nearest
            assert warned == ([] if nearest == value else [(response_pb2.Warning.KIND_PARAM_CLAMPED, path)])
        elif support == models_pb2.SUPPORT_REJECTED:
            assert member not in body
            assert warned == []
        else:
            assert member not in body
            assert warned == [(response_pb2.Warning.KIND_PARAM_DROPPED, path)]

    @pytest.mark.parametrize(("name", "value"), DEFAULTS.items(), ids=str)
    async def test_asking_for_what_happens_anyway_is_no_loss(
        self, ask: Ask, vendor: Vendor, name: str, value: float
    ) -> None:
        request = ask.request(vendor.play(Scene.PLAIN).model, **{name: value})
        request.options.unsupported_policy = options_pb2.CallOptions.UNSUPPORTED_POLICY_ERROR
        outcome = await ask.send(request)
        assert outcome.ok, outcome.message
        assert _warnings(outcome) == []

    async def test_sends_the_token_limit(self, ask: Ask, vendor: Vendor) -> None:
        play = vendor.play(Scene.PLAIN)
        outcome = await ask(play.model, max_output_tokens=5)
        assert outcome.answer.finish.reason == Finish.FINISH_REASON_MAX_OUTPUT_TOKENS
        assert vendor.wire.output_limit(play.last.request) == 5

    async def test_sends_stop_texts_or_refuses_them(self, ask: Ask, vendor: Vendor, declared: models_pb2.Model) -> None:
        play = vendor.play(Scene.PLAIN)
        outcome = await ask(play.model, stop=["END", "\n\n"])
        if declared.support.get("params.stop", models_pb2.SUPPORT_UNSPECIFIED) == models_pb2.SUPPORT_REJECTED:
            assert (outcome.reason, outcome.error.param, play.calls) == ("PARAM_UNSUPPORTED", "params.stop", 0)
            return
        assert outcome.ok
        assert b'["END"' in play.last.request.body.replace(b" ", b"")

    async def test_merges_the_callers_patch_last(self, ask: Ask, vendor: Vendor, declared: models_pb2.Model) -> None:
        play = vendor.play(Scene.PLAIN)
        provider = declared.provider
        request = ask.request(play.model, temperature=0.5)
        request.options.provider_json[provider] = '{"temperature": null, "new_member": {"a": [1]}}'
        request.options.provider_json["another"] = '{"foreign": true}'
        assert (await ask.send(request)).ok
        body = json.loads(play.last.request.body)
        assert body["new_member"] == {"a": [1]}
        assert not {"temperature", "foreign"} & set(body)

    # Finishes and usage.

    async def test_tells_every_finish_in_the_contracts_word_and_the_vendors(self, ask: Ask, vendor: Vendor) -> None:
        wire = vendor.wire
        for word, reason in wire.finishes.items():
            script = streamed([*wire.begin(), *wire.tokens(["t0 "]), *wire.end(word, Counts(7, 1))])
            outcome = await ask(vendor.play(script).model)
            assert (outcome.answer.finish.reason, outcome.answer.finish.native_reason) == (reason, word)
            assert list(outcome.record.finish_reasons) == [reason]

    async def test_finds_usage_wherever_the_vendor_puts_it(self, ask: Ask, vendor: Vendor) -> None:
        wire = vendor.wire
        for where, ending in wire.usage_variants(scenes.USAGE).items():
            script = streamed([*wire.begin(), *wire.tokens(["t0 "]), *ending])
            outcome = await ask(vendor.play(script).model)
            usage = outcome.record.usage
            assert (usage.input_tokens, usage.output_tokens) == (7, 5), where
            assert usage.source == Source.SOURCE_PROVIDER, where
            assert outcome.answer.text == "t0 ", where

    async def test_tells_cached_and_reasoning_tokens(self, ask: Ask, vendor: Vendor) -> None:
        usage = (await ask(vendor.play(Scene.DETAILED_USAGE).model)).record.usage
        assert (usage.input_tokens, usage.output_tokens) == (100, 50)
        for member, field, count in (
            ("cache_read_tokens", "cache_read_input_tokens", 64),
            ("reasoning_tokens", "reasoning_output_tokens", 20),
        ):
            told = getattr(usage, field) if usage.HasField(field) else None
            assert told == (None if member in vendor.wire.untold else count), field

    async def test_estimates_usage_that_the_vendor_does_not_tell(self, ask: Ask, vendor: Vendor) -> None:
        outcome = await ask(vendor.play(Scene.NO_USAGE).model)
        usage = outcome.record.usage
        assert outcome.answer.text == WHOLE
        assert usage.source == Source.SOURCE_GATEWAY_ESTIMATE
        assert usage.output_tokens > 0

    # Legal oddities of the stream.

    @pytest.mark.parametrize("oddity", list(ODDITIES))
    async def test_reads_every_legal_way_to_write_events(self, ask: Ask, vendor: Vendor, oddity: str) -> None:
        wire = vendor.wire
        events = [*wire.begin(), *wire.tokens(scenes.numbered(6)), *wire.end(None, Counts(7, 6))]
        outcome = await ask(vendor.play((SSE, *ODDITIES[oddity](events))).model)
        assert outcome.answer.text == scenes.text(6)
        assert outcome.record.usage.output_tokens == 6

    async def test_reads_events_cut_at_every_byte(self, unary: Ask, vendor: Vendor) -> None:
        wire = vendor.wire
        whole = b"".join(encoded([*wire.begin(), *wire.tokens(["é😀"]), *wire.end(None, scenes.USAGE)]))
        for place in range(1, len(whole), 17):
            outcome = await unary(vendor.play((SSE, whole[:place], whole[place:])).model)
            assert outcome.answer.text == "é😀", place


def _warnings(outcome: Outcome) -> list[tuple[int, str]]:
    return [(warning.kind, warning.path) for warning in outcome.record.warnings]  # type: ignore[attr-defined]
