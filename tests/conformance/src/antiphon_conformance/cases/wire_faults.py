"""Owns the cases about vendors that fail: at once, by HTTP status, in the middle, or by sending nonsense."""

import time

import pytest

from antiphon.llm.v1 import response_pb2, usage_pb2
from antiphon_conformance import names
from antiphon_conformance.calling import Ask
from antiphon_conformance.canary import search
from antiphon_conformance.cases.scripted import Scripted
from antiphon_conformance.outcome import Outcome
from antiphon_conformance.vendor import scenes
from antiphon_conformance.vendor.scenes import Scene
from antiphon_conformance.vendor.stage import Play, Vendor
from antiphon_conformance.wires import ANY_DELAY, Refusal

Source = usage_pb2.Usage.Source
FIVE = scenes.text(scenes.BEFORE_FAULT)
DATE_SLACK_S = 3.0

BEFORE_CONTENT = {
    Scene.FIN_BEFORE_HEAD: {"PROVIDER_ERROR"},
    Scene.RST_BEFORE_HEAD: {"PROVIDER_ERROR"},
    Scene.FIN_AFTER_HEAD: {"PROVIDER_ERROR"},
    Scene.RST_AFTER_HEAD: {"PROVIDER_ERROR"},
    Scene.ERROR_EVENT_FIRST: {"PROVIDER_OVERLOADED"},
    Scene.GARBAGE_FIRST: {"UPSTREAM_PROTOCOL"},
    Scene.WRONG_SHAPE_FIRST: {"UPSTREAM_PROTOCOL"},
    Scene.HTML_WITH_200: {"UPSTREAM_PROTOCOL"},
    Scene.BROKEN_GZIP: {"UPSTREAM_PROTOCOL"},
    Scene.EMPTY_200: {"UPSTREAM_PROTOCOL", "PROVIDER_ERROR"},
    Scene.DONE_WITHOUT_CONTENT: {"UPSTREAM_PROTOCOL", "PROVIDER_ERROR"},
}
AFTER_CONTENT = [
    Scene.FIN_MID_EVENT,
    Scene.RST_MID_EVENT,
    Scene.FIN_BETWEEN_EVENTS,
    Scene.RST_BETWEEN_EVENTS,
    Scene.ENDS_WITHOUT_FINISH,
    Scene.DONE_WITHOUT_FINISH,
    Scene.ERROR_EVENT_LATE,
    Scene.GARBAGE_LATE,
    Scene.WRONG_SHAPE_LATE,
]


class FaultCases(Scripted):
    """Vendors that fail."""

    async def test_an_empty_conversation_never_reaches_the_vendor(self, ask: Ask, vendor: Vendor) -> None:
        play = vendor.play(Scene.PLAIN)
        request = ask.request(play.model)
        del request.prompt.messages[:]
        assert (await ask.send(request)).reason == "INVALID_REQUEST"
        assert play.calls == 0

    async def test_every_http_error_has_its_code_and_reason(self, ask: Ask, vendor: Vendor) -> None:
        for title, refusal in vendor.wire.refusals.items():
            play = vendor.play(refusal.script())
            outcome = await ask(play.model)
            _holds(title, refusal, outcome)
            _one_call_per_attempt(outcome, play, title)

    async def test_waits_as_the_vendor_asks(self, ask: Ask, vendor: Vendor) -> None:
        template = vendor.wire.refusals["rate"]
        for form, (headers, delay_s) in vendor.wire.retry_hints(time.time).items():
            refusal = Refusal(429, template.body, "RATE_LIMITED", headers)
            outcome = await ask(vendor.play(refusal.script()).model)
            assert outcome.reason == "RATE_LIMITED", form
            if delay_s != ANY_DELAY:
                assert outcome.retry_s is not None, form
                slack_s = DATE_SLACK_S if "date" in form else 0.0
                assert abs(outcome.retry_s - delay_s) <= slack_s, (form, outcome.retry_s)

    async def test_follows_no_redirect(self, ask: Ask, vendor: Vendor) -> None:
        play = vendor.play(Scene.REDIRECT)
        assert not (await ask(play.model)).ok
        assert not [seen for seen in vendor.witness.exchanges if seen.request.path == "/elsewhere"]

    @pytest.mark.parametrize("scene", list(BEFORE_CONTENT), ids=lambda scene: scene.slug)
    async def test_a_fault_before_content_is_a_bare_status(self, ask: Ask, vendor: Vendor, scene: Scene) -> None:
        play = vendor.play(scene)
        outcome = await ask(play.model)
        assert outcome.reason in BEFORE_CONTENT[scene], outcome.message
        assert not [frame for frame in outcome.frames if frame.first_sequence]
        assert not outcome.answer.text
        _one_call_per_attempt(outcome, play, scene.slug)

    @pytest.mark.parametrize("scene", AFTER_CONTENT, ids=lambda scene: scene.slug)
    async def test_a_fault_after_content_is_never_silent(self, stream: Ask, vendor: Vendor, scene: Scene) -> None:
        play = vendor.play(scene)
        outcome = await stream(play.model)
        end = outcome.record
        assert outcome.reason == "STREAM_INTERRUPTED"
        assert outcome.answer.text == FIVE
        assert end.outcome == response_pb2.ResponseEnd.OUTCOME_FAILED
        assert not end.error.retry_same_backend
        assert not end.error.retry_other_backend
        assert end.usage.source in (Source.SOURCE_PROVIDER_PARTIAL, Source.SOURCE_GATEWAY_ESTIMATE)
        assert end.usage.output_tokens > 0
        assert play.calls == 1

    @pytest.mark.parametrize("scene", AFTER_CONTENT, ids=lambda scene: scene.slug)
    async def test_half_an_answer_is_no_unary_answer(self, unary: Ask, vendor: Vendor, scene: Scene) -> None:
        play = vendor.play(scene)
        outcome = await unary(play.model)
        assert outcome.reason in ("STREAM_INTERRUPTED", "PROVIDER_ERROR", "PROVIDER_OVERLOADED", "UPSTREAM_PROTOCOL")
        assert outcome.record.outcome == response_pb2.ResponseEnd.OUTCOME_FAILED
        _one_call_per_attempt(outcome, play, scene.slug)

    async def test_an_error_event_keeps_the_vendors_words(self, stream: Ask, vendor: Vendor) -> None:
        for scene in (Scene.ERROR_EVENT_FIRST, Scene.ERROR_EVENT_LATE):
            error = (await stream(vendor.play(scene).model)).error
            assert error.native_code or error.native_type, scene

    @pytest.mark.parametrize(
        "scene", [Scene.CUT_BEFORE_TERMINATOR, Scene.RST_BEFORE_TERMINATOR], ids=lambda scene: scene.slug
    )
    async def test_an_answer_that_had_finished_is_not_lost(self, ask: Ask, vendor: Vendor, scene: Scene) -> None:
        outcome = await ask(vendor.play(scene).model)
        assert outcome.ok
        assert outcome.answer.text == scenes.text(scenes.PLAIN_TOKENS)
        assert outcome.record.usage.source == Source.SOURCE_PROVIDER

    async def test_is_well_again_after_all_that(self, ask: Ask, vendor: Vendor) -> None:
        assert (await ask(vendor.play(Scene.PLAIN).model)).ok

    async def test_no_answer_carries_the_key(self, ask: Ask, vendor: Vendor) -> None:
        play = vendor.play(Scene.PLAIN)
        outcome = await ask(play.model)
        key = vendor.wire.key(play.last.request)
        assert len(key) > 8, "the provider under test needs a key, or there is no secret to lose"
        assert search(key, {"answer": outcome.everything().encode()}) == []
        for title, script in vendor.wire.echoing(key).items():
            outcome = await ask(vendor.play(script).model)
            assert not outcome.ok
            assert search(key, {title: outcome.everything().encode()}) == []


def _holds(title: str, refusal: Refusal, outcome: Outcome) -> None:
    assert outcome.reason == refusal.reason, (title, outcome.message)
    assert outcome.error.http_status == refusal.status, title
    if refusal.reason != "PROVIDER_CREDENTIALS":
        assert outcome.code is names.CODES[refusal.reason], title
    else:
        assert outcome.code.name == "FAILED_PRECONDITION", title  # the key is the gateway's, not the caller's
    if refusal.retry_s is None:
        assert outcome.retry_s is None, title
    elif refusal.retry_s != ANY_DELAY:
        assert outcome.retry_s == refusal.retry_s, title
    if refusal.param:
        assert outcome.error.param == refusal.param, title
    if refusal.native_code:
        assert outcome.error.native_code == refusal.native_code, title
    assert outcome.record.outcome == response_pb2.ResponseEnd.OUTCOME_FAILED, title


def _one_call_per_attempt(outcome: Outcome, play: Play, title: str) -> None:
    """One upstream call for each attempt that the router owns up to, and one alone without a router."""
    attempts = len(outcome.router_record.attempts) + 1
    assert play.calls == attempts, (title, play.calls, attempts)
