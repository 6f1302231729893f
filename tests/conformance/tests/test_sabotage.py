"""The suite is red on an adapter with a fault: each row names the fault and a case that has to find it."""

import inspect
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
import reference

from antiphon_conformance.calling import Ask
from antiphon_conformance.cases.fixtures import Models
from antiphon_conformance.outcome import Target
from antiphon_conformance.suite import WireConformance
from antiphon_conformance.vendor.scenes import Scene
from antiphon_conformance.vendor.stage import Vendor, performing
from antiphon_conformance.wires.openai_chat import OpenAIChat

FAULTS: list[tuple[str, str, dict[str, Any]]] = [
    ("sends headers early", "sends_no_header_before_content", {"scene": Scene.HELD_BEFORE_CONTENT}),
    ("sends start early", "sends_no_header_before_content", {"scene": Scene.HELD_BEFORE_CONTENT}),
    ("leaves gaps", "plain_text_arrives_whole", {}),
    ("ends twice", "plain_text_arrives_whole", {}),
    ("is silent about its end", "plain_text_arrives_whole", {}),
    ("is silent about its end", "a_fault_after_content_is_never_silent", {"scene": Scene.FIN_MID_EVENT}),
    ("forgets part_end", "plain_text_arrives_whole", {}),
    ("repeats text", "plain_text_arrives_whole", {}),
    ("miscounts usage", "plain_text_arrives_whole", {}),
    ("splits code points", "halves_of_a_code_point_are_joined", {}),
    ("mixes tool calls", "calls_that_interleave_are_kept_apart", {}),
    ("trusts any arguments", "arguments_that_are_no_json_are_kept_and_marked", {}),
    ("takes unknown finishes for stop", "tells_every_finish_in_the_contracts_word_and_the_vendors", {}),
    ("reports unknown usage as 0", "estimates_usage_that_the_vendor_does_not_tell", {}),
    ("swallows garbage", "a_fault_after_content_is_never_silent", {"scene": Scene.GARBAGE_LATE}),
    ("takes a cut for an end", "a_fault_after_content_is_never_silent", {"scene": Scene.ENDS_WITHOUT_FINISH}),
    ("takes a cut for an end", "a_fault_after_content_is_never_silent", {"scene": Scene.DONE_WITHOUT_FINISH}),
    ("loses what came with an error", "a_fault_after_content_is_never_silent", {"scene": Scene.ERROR_EVENT_LATE}),
    ("retries by itself", "plain_text_arrives_whole", {}),
    ("follows redirects", "follows_no_redirect", {}),
    ("drops the retry hint", "waits_as_the_vendor_asks", {}),
    ("tells the key", "no_answer_carries_the_key", {}),
    ("invites a second retry layer", "every_http_error_has_its_code_and_reason", {}),
    ("keeps the vendor working", "a_cancel_reaches_the_vendor_at_once", {"scene": Scene.HELD_MID_STREAM}),
    ("times bytes, not progress", "a_stall_is_found_by_progress_not_by_bytes", {"scene": Scene.COMMENTS_LATE}),
    ("drops unknown parameters", "sends_a_parameter_as_it_is_or_says_that_it_did_not", {"name": "top_k", "value": 40}),
    ("sends defaults", "sends_no_parameter_that_is_not_set", {}),
    ("sends zeroes for nothing", "sends_a_parameter_as_it_is_or_says_that_it_did_not", {"name": "seed", "value": 0}),
    ("reads floats", "sends_a_parameter_as_it_is_or_says_that_it_did_not", {"name": "temperature", "value": 0.1}),
    ("reads ahead without bound", "a_slow_reader_slows_the_vendor", {}),
]


@pytest.fixture(scope="module")
def vendor() -> Iterator[Vendor]:
    with performing(OpenAIChat()) as vendor:
        yield vendor


@pytest.mark.parametrize(("fault", "case", "given"), FAULTS, ids=[f"{fault}: {case}" for fault, case, _ in FAULTS])
async def test_a_fault_makes_the_suite_red(vendor: Vendor, fault: str, case: str, given: dict[str, Any]) -> None:
    found = getattr(WireConformance(), f"test_{case}")
    async with reference.serving(vendor.url, fault) as address, grpc.aio.insecure_channel(address) as channel:
        target = Target(address, "openai")
        stream = Ask(channel, target, streamed=True)
        models = Models(channel)
        fixtures = {
            "vendor": vendor,
            "channel": channel,
            "target": target,
            "models": models,
            "declared": (await models.list()).models[0],
            "ask": stream,
            "stream": stream,
            "unary": Ask(channel, target, streamed=False),
            **given,
        }
        wanted = {name: fixtures[name] for name in inspect.signature(found).parameters}
        with pytest.raises((AssertionError, TimeoutError, grpc.aio.AioRpcError)):
            await found(**wanted)


async def test_every_fault_is_one_that_the_adapter_knows() -> None:
    sources = inspect.getsource(reference) + inspect.getsource(inspect.getmodule(reference.Decoder) or reference)
    assert not [fault for fault, _, _ in FAULTS if f'"{fault}"' not in sources]
