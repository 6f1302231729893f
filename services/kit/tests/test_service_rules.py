"""What requests of embedding, rerank and completion may look like."""

import pytest
from google.protobuf import text_format

from antiphon.llm.v1 import completion_pb2, embedding_pb2, rerank_pb2
from antiphon_contract.errors import CallFailure, reason_name
from antiphon_kit.service_rules import validate_completion, validate_embedding, validate_rerank

EMBED = (validate_embedding, embedding_pb2.EmbedRequest)
RERANK = (validate_rerank, rerank_pb2.RerankRequest)
COMPLETE = (validate_completion, completion_pb2.StreamCompleteRequest)
INPUT = 'inputs { text: "a" } '
ASKED = 'input { query: "q" documents { text: "a" } } '
PROMPT = 'prompt { text: "a" } '


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (EMBED, INPUT),
        (EMBED, 'inputs { text: "" } inputs { tokens { ids: 0 } } inputs { parts { parts { text { text: "a" } } } }'),
        (EMBED, INPUT + 'params { dimensions: 1 encodings: "float32" encodings: "int8" input_type: "query" }'),
        (EMBED, INPUT + 'options { labels { key: "a" value: "b" } }'),
        (RERANK, ASKED),
        (RERANK, 'input { query: "q" documents { id: "1" text: "" } documents { id: "2" data_json: "{}" } }'),
        (RERANK, ASKED + "params { top_n: 1 max_tokens_per_document: 1 }"),
        (COMPLETE, PROMPT),
        (COMPLETE, 'prompt { text: "" suffix: "b" echo: false } params { temperature: 0 }'),
        (COMPLETE, "prompt { tokens { ids: 5 } } stream { max_coalesce_delay { nanos: 1 } }"),
    ],
)
def test_good_requests_pass(rule, text):
    validate, kind = rule
    validate(text_format.Parse(text, kind()), "m")


@pytest.mark.parametrize(
    ("rule", "text", "param"),
    [
        (EMBED, "", "inputs"),
        (EMBED, INPUT + "inputs {}", "inputs[1]"),
        (EMBED, "inputs { tokens {} }", "inputs[0].tokens.ids"),
        (EMBED, INPUT + "inputs { tokens { ids: 1 ids: -1 } }", "inputs[1].tokens.ids[1]"),
        (EMBED, "inputs { parts {} }", "inputs[0].parts"),
        (EMBED, INPUT + "params { dimensions: 0 }", "params.dimensions"),
        (EMBED, INPUT + 'params { encodings: "float32" encodings: "" }', "params.encodings[1]"),
        (EMBED, INPUT + "options { timeouts { first_event {} } }", "options.timeouts.first_event"),
        (RERANK, 'input { documents { text: "a" } }', "input.query"),
        (RERANK, 'input { query: "q" }', "input.documents"),
        (RERANK, 'input { query: "q" documents { text: "a" } documents { title: "t" } }', "input.documents[1]"),
        (
            RERANK,
            'input { query: "q" documents { id: "1" text: "a" } documents { id: "1" text: "b" } }',
            "input.documents",
        ),
        (RERANK, ASKED + "params { top_n: 0 }", "params.top_n"),
        (RERANK, ASKED + "params { max_tokens_per_document: -1 }", "params.max_tokens_per_document"),
        (RERANK, ASKED + "options { timeouts { first_event {} } }", "options.timeouts.first_event"),
        (COMPLETE, "", "prompt.text"),
        (COMPLETE, "prompt { tokens {} }", "prompt.tokens.ids"),
        (COMPLETE, PROMPT + "params { reasoning {} }", "params.reasoning"),
        (COMPLETE, PROMPT + "params { tool_choice {} }", "params.tool_choice"),
        (COMPLETE, PROMPT + "params { parallel_tool_calls: false }", "params.parallel_tool_calls"),
        (COMPLETE, PROMPT + "params { max_tool_calls: 0 }", "params.max_tool_calls"),
        (COMPLETE, PROMPT + "params { temperature: -1 }", "params.temperature"),
        (COMPLETE, PROMPT + "stream { max_coalesce_delay { seconds: 2 } }", "stream.max_coalesce_delay"),
        (COMPLETE, PROMPT + "options { timeouts { first_event {} } }", "options.timeouts.first_event"),
    ],
)
def test_bad_requests_name_the_field(rule, text, param):
    validate, kind = rule
    with pytest.raises(CallFailure) as raised:
        validate(text_format.Parse(text, kind()), "m")
    error = raised.value.error
    assert (reason_name(error.reason), error.param) == ("INVALID_REQUEST", param)
    assert error.message.startswith(param)


@pytest.mark.parametrize(("rule", "text"), [(EMBED, INPUT), (RERANK, ASKED), (COMPLETE, PROMPT)])
@pytest.mark.parametrize("model", ["", "m" * 257])
def test_the_model_counts(rule, text, model):
    validate, kind = rule
    with pytest.raises(CallFailure) as raised:
        validate(text_format.Parse(text, kind()), model)
    assert raised.value.error.param == "model"
