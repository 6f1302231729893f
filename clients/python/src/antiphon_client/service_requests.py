"""Owns the way from friendly arguments to the requests of the services beside chat.

Forbids itself: I/O. Everything it refuses is an InvalidRequest that names the argument.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, TypeVar

from antiphon.llm.v1 import completion_pb2, content_pb2, embedding_pb2, http_pb2, native_pb2, rerank_pb2
from antiphon.llm.v1.options_pb2 import CallOptions
from antiphon.llm.v1.params_pb2 import GenerateParams
from antiphon_client import errors
from antiphon_client.requests import Defaults, Prepared, RouteArguments, check_text, finished, params_from

Input = str | Sequence[int] | embedding_pb2.EmbedInput
Completion = TypeVar("Completion", completion_pb2.CompleteRequest, completion_pb2.StreamCompleteRequest)
Encoding = Literal["float32", "int8", "uint8", "binary", "ubinary"]


class EmbedArguments(RouteArguments, total=False):
    """What vectors are wanted of which model.

    dimensions: components per vector. encodings: number formats, "float32" if none is given. input_type: what the
    vectors are for ("query", "document", ...). truncate: which end of a too long input to cut.
    """

    model: str
    dimensions: int | None
    encodings: Sequence[Encoding]
    input_type: str
    truncate: str
    options: CallOptions | None


class RerankArguments(RouteArguments, total=False):
    """What order is wanted of which model. top_n: the best n only."""

    model: str
    top_n: int | None
    max_tokens_per_document: int | None
    options: CallOptions | None


class CompleteArguments(RouteArguments, total=False):
    """What is to be completed by which model. suffix: the text after the gap. echo: repeat the prompt."""

    model: str
    suffix: str
    echo: bool | None
    max_output_tokens: int | None
    params: GenerateParams | None
    options: CallOptions | None


class NativeArguments(RouteArguments, total=False):
    """The HTTP request besides method and path. dialect: whose API is spoken, e.g. "openai/responses".

    model: for routing; what the body says is not read.
    """

    model: str
    dialect: str
    headers: Mapping[str, str] | Iterable[tuple[str, str]]
    body: bytes
    options: CallOptions | None


def prepare_embed(
    inputs: Sequence[Input], call: EmbedArguments, defaults: Defaults
) -> Prepared[embedding_pb2.EmbedRequest]:
    """A request of Embed. Raises InvalidRequest."""
    if isinstance(inputs, str):
        raise errors.invalid("give a list of inputs, not one text", "inputs")
    request = embedding_pb2.EmbedRequest(
        inputs=[_input(each, f"inputs[{index}]") for index, each in enumerate(inputs)],
        params=embedding_pb2.EmbedParams(
            dimensions=call.get("dimensions"),
            encodings=call.get("encodings", ()),
            input_type=call.get("input_type", ""),
            truncate=call.get("truncate", ""),
        ),
        options=call.get("options"),
    )
    if not request.inputs:
        raise errors.invalid("there is nothing to embed; give at least one input", "inputs")
    return finished(request, call.get("model", ""), call, defaults)


def _input(given: Input, where: str) -> embedding_pb2.EmbedInput:
    if isinstance(given, embedding_pb2.EmbedInput):
        return given
    if isinstance(given, str):
        check_text(given, where)
        return embedding_pb2.EmbedInput(text=given)
    return embedding_pb2.EmbedInput(tokens=content_pb2.TokenIds(ids=given))


def prepare_rerank(
    query: str, documents: Sequence[str | content_pb2.Document], call: RerankArguments, defaults: Defaults
) -> Prepared[rerank_pb2.RerankRequest]:
    """A request of Rerank. Raises InvalidRequest."""
    check_text(query, "query")
    found = []
    for index, document in enumerate(documents):
        if isinstance(document, str):
            check_text(document, f"documents[{index}]")
            document = content_pb2.Document(text=document)
        found.append(document)
    if not query or not found:
        raise errors.invalid("give a query and at least one document", "documents" if query else "query")
    request = rerank_pb2.RerankRequest(
        input=rerank_pb2.RerankInput(query=query, documents=found),
        params=rerank_pb2.RerankParams(
            top_n=call.get("top_n"), max_tokens_per_document=call.get("max_tokens_per_document")
        ),
        options=call.get("options"),
    )
    return finished(request, call.get("model", ""), call, defaults)


def prepare_completion(
    kind: type[Completion], prompt: str | Sequence[int], call: CompleteArguments, defaults: Defaults
) -> Prepared[Completion]:
    """A request of Complete or StreamComplete. Raises InvalidRequest."""
    given = completion_pb2.CompletionPrompt(suffix=call.get("suffix", ""))
    if (echo := call.get("echo")) is not None:
        given.echo = echo
    check_text(given.suffix, "suffix")
    if isinstance(prompt, str):
        check_text(prompt, "prompt")
        given.text = prompt
    else:
        given.tokens.ids.extend(prompt)
    request = kind(
        prompt=given,
        params=params_from(call.get("params"), call.get("max_output_tokens")),
        options=call.get("options"),
    )
    return finished(request, call.get("model", ""), call, defaults)


def prepare_native(
    method: str, path: str, call: NativeArguments, defaults: Defaults
) -> Prepared[native_pb2.CallNativeRequest]:
    """A request of CallNative. Raises InvalidRequest."""
    headers = call.get("headers", ())
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    request = native_pb2.CallNativeRequest(
        request=native_pb2.HttpRequest(
            method=method,
            path=path,
            headers=[http_pb2.HttpHeader(name=name.lower(), value=value) for name, value in pairs],
            body=call.get("body", b""),
        ),
        dialect=call.get("dialect", ""),
        options=call.get("options"),
    )
    return finished(request, call.get("model", ""), call, defaults)
