"""Owns the reading of token log probabilities. A malformed entry is skipped: they are an aside of the answer."""

from typing import Any

from antiphon.llm.v1 import response_pb2
from antiphon_provider_cohere.codec.citations import string


def read_logprobs(value: Any) -> list[response_pb2.TokenLogprob]:
    """One entry per token. Cohere tells one text for the tokens of a delta: the first carries it, the others are "".

    Tokens without a probability are not told.
    """
    if not isinstance(value, dict):
        return []
    ids, probabilities = value.get("token_ids"), value.get("logprobs")
    tokens = []
    for index, probability in enumerate(probabilities if isinstance(probabilities, list) else ()):
        if not isinstance(probability, int | float):
            continue
        token = response_pb2.TokenLogprob(logprob=probability)
        if isinstance(ids, list) and index < len(ids) and type(ids[index]) is int and 0 <= ids[index] < 2**31:
            token.token_id = ids[index]
        tokens.append(token)
    if tokens:
        tokens[0].token = string(value.get("text"))
    return tokens
