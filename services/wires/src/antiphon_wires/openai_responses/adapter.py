"""Owns the I/O of a vendor that speaks the Responses API beside chat completions: which of the two, and the calls.

What is sent, by whom and how is the chat adapter's: see there.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from typing import Final

from antiphon.llm.v1 import chat_pb2, error_pb2, models_pb2
from antiphon_contract.errors import CallFailure, Reason, call_error, failure
from antiphon_kit.key_ring import KeyRing
from antiphon_kit.provider import Batch, Turn
from antiphon_kit.secrets import SecretSource
from antiphon_wires.openai_chat.adapter import OpenAIChatAdapter
from antiphon_wires.openai_chat.dialect import Dialect
from antiphon_wires.openai_responses.codec import (
    Api,
    ResponseStream,
    encode_count,
    encode_request,
    read_count,
    speaks_responses,
    support,
)

_PATH: Final = "/responses"
_COUNT_PATH: Final = "/responses/input_tokens"
_MAX_COUNT_BYTES: Final = 64 * 1024
_NOT_OFFERED: Final = frozenset({404, 405, 501})


class OpenAIAdapter(OpenAIChatAdapter):
    """One account of one vendor that speaks both. Create it inside the running loop."""

    def __init__(
        self,
        dialect: Dialect,
        keys: SecretSource | KeyRing | None,
        *,
        connect_timeout_s: float = 5.0,
        api: Api = "auto",
    ) -> None:
        """`keys` None: the server takes no key. `api`: see `speaks_responses`."""
        super().__init__(dialect, keys, connect_timeout_s=connect_timeout_s)
        self._api: Api = api

    def generate(self, turn: Turn) -> AsyncIterator[Batch]:
        """One upstream call; see ChatProvider."""
        if not speaks_responses(turn.request, self._dialect, self._api):
            return super().generate(turn)
        model = self._model(turn)
        encode = partial(
            encode_request,
            turn.request,
            self._dialect,
            model=model,
            max_output_tokens=turn.max_output_tokens,
            state_domain=turn.state_domain,
        )
        return self._stream(turn, self._vendor.base_url + _PATH, encode, model, kind=ResponseStream)

    async def count_tokens(self, turn: Turn) -> chat_pb2.CountTokensResponse:
        """Counted by the vendor, as input of the Responses API; both APIs show a model the same."""
        if self._api == "chat":
            return await super().count_tokens(turn)
        model = self._model(turn)
        encoded = encode_count(turn.request, self._dialect, model=model, state_domain=turn.state_domain)
        url = self._vendor.base_url + _COUNT_PATH
        async with (
            self.keys.lease(model, turn) as key,
            self._egress.post(url, self._for_json(key, encoded.headers), encoded.body, turn.milestones) as exchange,
        ):
            answered = {name.lower(): value for name, value in exchange.headers.items()}
            if exchange.status != 200:
                raise self._not_counted(await self._refusal(exchange, answered, model, key))
            key.accepted()
            body = await exchange.read(_MAX_COUNT_BYTES)
        try:
            return read_count(body)
        except ValueError:
            message = f"{self.name} answered with something that is no count of tokens; check its base URL"
            raise CallFailure(
                call_error(Reason.ERROR_REASON_UPSTREAM_PROTOCOL, message, provider=self.name, model=model)
            ) from None

    def _not_counted(self, error: error_pb2.CallError) -> CallFailure:
        """Servers that imitate the vendor may lack this path, which is no fault of the model's name."""
        if error.http_status in _NOT_OFFERED and error.native_code != "model_not_found":
            return failure(Reason.ERROR_REASON_OPERATION_UNSUPPORTED, f"the server of {self.name} counts no tokens")
        return CallFailure(error)

    async def list_models(self) -> Sequence[models_pb2.Model]:
        """The models of the account, as the vendor lists them."""
        listed = await super().list_models()
        if self._api != "chat":
            for model in listed:
                self._describe(model)
        return listed

    def _describe(self, model: models_pb2.Model) -> None:
        if "generate" not in model.operations:
            return
        model.operations.append("count_tokens")
        told: Mapping[str, models_pb2.Support] = support()
        for path, treated in told.items():
            # By need: what only one of the two can do is done by that one.
            if self._api == "responses" or treated == models_pb2.SUPPORT_NATIVE:
                model.support[path] = treated
