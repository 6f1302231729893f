"""Owns the official SDK: what it knows about base URL, headers and errors, and the calls that are made through it.

Forbids itself: the hot path, retries, and texts of the SDK's exceptions.
"""

import contextlib
import logging
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final
from weakref import WeakKeyDictionary

import openai

from antiphon.llm.v1 import error_pb2, models_pb2
from antiphon_contract.errors import CallFailure, Reason, call_error
from antiphon_kit.secrets import Secret
from antiphon_wires import classification, http_tunnel, json_text
from antiphon_wires.openai_chat.dialect import Dialect, support

_NO_KEY: Final = "none"
# What the SDK sends to everybody. The rest of its defaults are the account's, read from OPENAI_* variables; one of
# them, OPENAI_CUSTOM_HEADERS, may even hold an authorization.
_COMMON: Final = ("accept", "content-type", "user-agent", "x-stainless-")


class Vendor:
    """One vendor through its SDK. `timeout_s`: for each of the calls below, connecting included."""

    def __init__(self, dialect: Dialect, *, timeout_s: float) -> None:
        # At debug level it logs bodies, and a variable of the environment can turn that on.
        logging.getLogger("openai").setLevel(logging.CRITICAL)
        self._dialect = dialect
        self._client = openai.AsyncOpenAI(
            api_key=_NO_KEY,
            base_url=dialect.base_url,
            max_retries=0,
            timeout=timeout_s,
            http_client=openai.DefaultAsyncHttpxClient(trust_env=False, follow_redirects=False),
        )
        self._foreign: dict[str, str | openai.Omit] = {
            name: openai.omit
            for name in self._client.default_headers
            if not dialect.account_headers and not name.lower().startswith(_COMMON)
        }
        self.base_url = str(self._client.base_url).rstrip("/")
        self.chat_url = f"{self.base_url}/chat/completions"
        self._headers: WeakKeyDictionary[Secret, Mapping[str, str]] = WeakKeyDictionary()

    def headers(self, key: Secret) -> Mapping[str, str]:
        """Headers of a streaming call. Kept for as long as the key is. An empty `key`: without authorization."""
        headers = self._headers.get(key)
        if headers is None:
            common = {
                name: value
                for name, value in self._client.default_headers.items()
                if isinstance(value, str) and name not in self._foreign
            }
            headers = self._headers[key] = {**common, **self._authorization(key), "Accept": "text/event-stream"}
        return headers

    def parted_headers(self, key: Secret) -> tuple[Mapping[str, str], Mapping[str, str]]:
        """`headers` as credentials and defaults, see http_tunnel."""
        return http_tunnel.parted(self.headers(key), _COMMON)

    def _authorization(self, key: Secret) -> Mapping[str, str]:
        return self._client.with_options(api_key=key.reveal()).auth_headers if key else {}

    async def probe(self, key: Secret) -> None:
        """Ask the vendor for something cheap. Raises CallFailure."""
        await self._models(key)

    async def list_models(self, key: Secret) -> Sequence[models_pb2.Model]:
        """The models, as listed."""
        try:
            listed = json_text.elements(bytes(json_text.dig(await self._models(key), "data")))
            return [self._model(json_text.text_of(raw)) for raw in listed]
        except (KeyError, TypeError, ValueError, AttributeError):
            raise self._failed(Reason.ERROR_REASON_UPSTREAM_PROTOCOL, "its list of models cannot be read") from None

    async def _models(self, key: Secret) -> bytes:
        headers: dict[str, str | openai.Omit] = {
            **self._foreign,
            "Authorization": openai.omit,
            **self._authorization(key),
        }
        try:
            response = await self._client.models.with_raw_response.list(extra_headers=headers)
        except openai.APIStatusError as error:
            raise self._refused(error, key) from None
        except openai.APITimeoutError:
            raise self._failed(Reason.ERROR_REASON_UPSTREAM_TIMEOUT, "it did not answer in time") from None
        except openai.OpenAIError:
            message = "no connection; check its base URL and the network"
            raise self._failed(Reason.ERROR_REASON_UPSTREAM_UNREACHABLE, message) from None
        return response.content

    def _refused(self, error: openai.APIStatusError, key: Secret) -> CallFailure:
        headers = {name.lower(): value for name, value in error.response.headers.items()}
        return CallFailure(
            classification.classify(
                self._dialect.name,
                error.status_code,
                headers,
                error.response.content,
                now_s=time.time(),
                extra=self._dialect.errors,
                hide=key.reveal(),
            )
        )

    def _failed(self, reason: error_pb2.ErrorReason, message: str) -> CallFailure:
        return CallFailure(call_error(reason, f"{self._dialect.name}: {message}", provider=self._dialect.name))

    def _model(self, native_json: str) -> models_pb2.Model:
        listed = json_text.read(native_json.encode())
        name = self._dialect.name
        model = models_pb2.Model(
            id=f"{name}/{listed['id']}",
            provider=name,
            native_id=listed["id"],
            lifecycle=models_pb2.Model.LIFECYCLE_ACTIVE,
            operations=self._dialect.operations_of(listed["id"]),
            support=support(self._dialect),
            native_json=native_json,
        )
        if type(created := listed.get("created")) is int and created > 0:
            model.create_time.FromSeconds(created)
        if isinstance(shutdown := listed.get("shutdown_date"), str):
            model.lifecycle = models_pb2.Model.LIFECYCLE_DEPRECATED
            # What is no date still stands in native_json.
            with contextlib.suppress(ValueError):
                date = datetime.fromisoformat(shutdown)
                model.retire_time.FromDatetime(date if date.tzinfo else date.replace(tzinfo=UTC))
        return model

    async def aclose(self) -> None:
        """Close the SDK's connections."""
        await self._client.close()
