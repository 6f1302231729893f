"""The summary line: what is known is told, what is unknown is left out, never shown as 0."""

from antiphon.llm.v1 import chat_pb2, response_pb2, usage_pb2
from antiphon_cli.screen import summary_of
from antiphon_client import Answer


def answer(end: response_pb2.ResponseEnd, **facts) -> Answer:
    start = response_pb2.ResponseStart(provider="p", model="m")
    response = chat_pb2.GenerateResponse(start=start, end=end)
    return Answer(
        **{"response": response, "request_id": "r", "attempts": (), "restarts": 0, "duration_s": 2.5, **facts}
    )


def test_everything_known():
    end = response_pb2.ResponseEnd(usage={"input_tokens": 3, "output_tokens": 40})
    attempts = (response_pb2.Attempt(number=1),)
    told = summary_of(answer(end, time_to_first_content_s=0.5, attempts=attempts))
    assert told == "p m | 3 in, 40 out tokens | first token 0.50 s | 20.0 tokens/s | 2 attempts"


def test_nothing_known():
    assert summary_of(answer(response_pb2.ResponseEnd())) == "p m"
    half = response_pb2.ResponseEnd(usage={"input_tokens": 3})
    assert summary_of(answer(half)) == "p m | 3 in, ? out tokens"


def test_an_estimate_is_marked_and_a_unary_call_takes_the_adapters_time():
    usage = usage_pb2.Usage(input_tokens=3, output_tokens=40, source=usage_pb2.Usage.SOURCE_GATEWAY_ESTIMATE)
    end = response_pb2.ResponseEnd(usage=usage)
    end.timing.time_to_first_content.FromMilliseconds(500)
    assert summary_of(answer(end)) == "p m | ~3 in, ~40 out tokens | first token 0.50 s | 20.0 tokens/s"


def test_an_answer_that_began_anew_says_so():
    end = response_pb2.ResponseEnd()
    assert summary_of(answer(end, restarts=1, attempts=(response_pb2.Attempt(),))) == "p m | began anew | 2 attempts"
    assert summary_of(answer(end, restarts=2)) == "p m | began anew 2 times"


def test_too_short_to_tell_a_speed():
    end = response_pb2.ResponseEnd(usage={"input_tokens": 3, "output_tokens": 40})
    assert "tokens/s" not in summary_of(answer(end, time_to_first_content_s=2.4999))
