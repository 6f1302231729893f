"""Owns the official SDK: what it knows about base URL, headers and errors, and the calls that are made through it.

Forbids itself: the hot path, retries, and texts of the SDK's exceptions.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Final
from weakref import WeakKeyDictionary

import httpx
from cohere.core.api_error import ApiError
from cohere.core.client_wrapper import AsyncClientWrapper
from cohere.models.client import AsyncModelsClient

from antiphon.llm.v1 import error_pb2, models_pb2
from antiphon_contract.errors import CallFailure, Reason, call_error
from antiphon_kit.secrets import Secret
from antiphon_provider_cohere.codec import ERRORS, NAME, rate_limits, read_models, request_id
from antiphon_wires import classification, json_text

_PAGE: Final = 1000
_MAX_PAGES: Final = 20


class Vendor:
    """One account through the SDK. `timeout_s`: for each of the calls below, connecting included."""

    def __init__(self, base_url: str, *, timeout_s: float) -> None:
        for name in ("httpx", "httpcore"):
            # They log addresses with their queries, and at debug level headers.
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self.base_url = base_url.rstrip("/")
        self._http = httpx.AsyncClient(trust_env=False, follow_redirects=False, timeout=timeout_s)
        self._clients: WeakKeyDictionary[Secret, AsyncClientWrapper] = WeakKeyDictionary()
        self._headers: WeakKeyDictionary[Secret, Mapping[str, str]] = WeakKeyDictionary()

    def url(self, path: str) -> str:
        """Where the API has `path`, such as "v2/chat"."""
        return f"{self.base_url}/{path}"

    def headers(self, key: Secret) -> Mapping[str, str]:
        """Headers of a call. Kept for as long as the key is."""
        headers = self._headers.get(key)
        if headers is None:
            headers = self._headers[key] = {**self._client(key).get_headers(), "Content-Type": "application/json"}
        return headers

    def _client(self, key: Secret) -> AsyncClientWrapper:
        client = self._clients.get(key)
        if client is None:
            client = self._clients[key] = AsyncClientWrapper(
                token=key.reveal(), base_url=self.base_url, httpx_client=self._http, max_retries=0
            )
        return client

    async def probe(self, key: Secret) -> None:
        """Ask the vendor for something cheap. Raises CallFailure."""
        await self._models(key, page_size=1)

    async def list_models(self, key: Secret) -> Sequence[models_pb2.Model]:
        """The models, as listed."""
        models: list[models_pb2.Model] = []
        token = ""
        for _ in range(_MAX_PAGES):
            page, token = read_models(await self._models(key, page_size=_PAGE, page_token=token))
            models += page
            if not token:
                return models
        raise self._failed(Reason.ERROR_REASON_UPSTREAM_PROTOCOL, "its list of models has no end")

    async def _models(self, key: Secret, *, page_size: int, page_token: str = "") -> bytes:
        models = AsyncModelsClient(client_wrapper=self._client(key)).with_raw_response
        try:
            response = await models.list(page_size=page_size, page_token=page_token or None)
        except ApiError as error:
            raise self._refused(error, key) from None
        except httpx.TimeoutException:
            raise self._failed(Reason.ERROR_REASON_UPSTREAM_TIMEOUT, "it did not answer in time") from None
        except httpx.HTTPError:
            message = "no connection; check its base URL and the network"
            raise self._failed(Reason.ERROR_REASON_UPSTREAM_UNREACHABLE, message) from None
        return response.response.content

    def _refused(self, error: ApiError, key: Secret) -> CallFailure:
        status = error.status_code or 0
        if 200 <= status < 300:
            return self._failed(Reason.ERROR_REASON_UPSTREAM_PROTOCOL, "its list of models is no JSON")
        # The SDK hands on what it read, not the bytes.
        body = error.body if isinstance(error.body, str) else json_text.dump(error.body)
        headers = {name.lower(): value for name, value in (error.headers or {}).items()}
        return CallFailure(refusal(key, status, headers, body.encode()))

    def _failed(self, reason: error_pb2.ErrorReason, message: str) -> CallFailure:
        return CallFailure(call_error(reason, f"{NAME}: {message}", provider=NAME))

    async def aclose(self) -> None:
        """Close the SDK's connections."""
        await self._http.aclose()


def refusal(
    key: Secret, status: int, headers: Mapping[str, str], body: bytes, *, model: str = ""
) -> error_pb2.CallError:
    """What an answer other than 200 means. Header names are lower case; `key` is what was sent, and never gets out."""
    now_s = time.time()
    error = classification.classify(
        NAME, status, headers, body, now_s=now_s, model=model, extra=ERRORS, hide=key.reveal()
    )
    error.provider_request_id = error.provider_request_id or request_id(headers)
    del error.rate_limits[:]
    error.rate_limits.extend(rate_limits(headers, now_s))
    return error
