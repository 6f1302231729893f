"""Owns the official SDK: what it knows about base URL, headers and errors, and the calls that are made through it.

Forbids itself: the hot path, retries, and texts of the SDK's exceptions.
"""

import logging
import time
from collections.abc import Mapping
from typing import Final
from weakref import WeakKeyDictionary

import anthropic

from antiphon.llm.v1 import error_pb2
from antiphon_contract.errors import CallFailure, Reason, call_error
from antiphon_kit.secrets import Secret
from antiphon_provider_anthropic.codec import ERRORS, NAME
from antiphon_wires import classification, http_tunnel, json_text

_NO_KEY: Final = "none"
# What the SDK sends to everybody; the rest of its defaults are the account's, from ANTHROPIC_CUSTOM_HEADERS.
_COMMON: Final = ("accept", "content-type", "user-agent", "x-stainless-", "anthropic-version")
# The largest page there is (ModelListParams of anthropic 2.14), and more pages than a vendor has.
_PAGE: Final = 1000
_MAX_PAGES: Final = 10


class Vendor:
    """The vendor through its SDK. `timeout_s`: for each of the calls below, connecting included."""

    def __init__(self, base_url: str, *, timeout_s: float) -> None:
        # At debug level it logs bodies, and a variable of the environment can turn that on.
        logging.getLogger("anthropic").setLevel(logging.CRITICAL)
        self._client = anthropic.AsyncAnthropic(
            api_key=_NO_KEY,
            base_url=base_url,
            max_retries=0,
            timeout=timeout_s,
            open_telemetry=False,
            http_client=anthropic.DefaultAsyncHttpxClient(trust_env=False, follow_redirects=False),
        )
        self.base_url = str(self._client.base_url).rstrip("/")
        self.messages_url = f"{self.base_url}/v1/messages"
        self.count_url = f"{self.messages_url}/count_tokens"
        self._headers: WeakKeyDictionary[Secret, Mapping[str, str]] = WeakKeyDictionary()

    def headers(self, key: Secret) -> Mapping[str, str]:
        """Headers of a call by JSON body: API version, authorization, SDK. Kept for as long as the key is."""
        headers = self._headers.get(key)
        if headers is None:
            common = {name: value for name, value in self._client.default_headers.items() if isinstance(value, str)}
            headers = self._headers[key] = {**common, **self._authorization(key)}
        return headers

    def parted_headers(self, key: Secret) -> tuple[Mapping[str, str], Mapping[str, str]]:
        """`headers` as credentials and defaults, see http_tunnel."""
        return http_tunnel.parted(self.headers(key), _COMMON)

    def _authorization(self, key: Secret) -> Mapping[str, str]:
        return self._client.with_options(api_key=key.reveal()).auth_headers

    async def models(self, key: Secret) -> list[str]:
        """The entries of the list of models, verbatim. Raises CallFailure."""
        entries: list[str] = []
        after: str | anthropic.Omit = anthropic.omit
        for _ in range(_MAX_PAGES):
            page = await self._page(key, after)
            try:
                members = json_text.members(page)
                entries += [json_text.text_of(raw) for raw in json_text.elements(bytes(members["data"]))]
                more = "has_more" in members and bytes(members["has_more"]) == b"true"
                last = json_text.read(bytes(members["last_id"])) if more else None
            except (KeyError, TypeError, ValueError, AttributeError):
                raise self._failed(Reason.ERROR_REASON_UPSTREAM_PROTOCOL, "its list of models cannot be read") from None
            if not isinstance(last, str):
                break
            after = last
        return entries

    async def _page(self, key: Secret, after: "str | anthropic.Omit") -> bytes:
        headers = dict(self._authorization(key))
        try:
            response = await self._client.models.with_raw_response.list(
                limit=_PAGE, after_id=after, extra_headers=headers
            )
            return await response.read()
        except anthropic.APIStatusError as error:
            raise self._refused(error, key) from None
        except anthropic.APITimeoutError:
            raise self._failed(Reason.ERROR_REASON_UPSTREAM_TIMEOUT, "it did not answer in time") from None
        except anthropic.AnthropicError:
            message = "no connection; check its base URL and the network"
            raise self._failed(Reason.ERROR_REASON_UPSTREAM_UNREACHABLE, message) from None

    def _refused(self, error: anthropic.APIStatusError, key: Secret) -> CallFailure:
        headers = {name.lower(): value for name, value in error.response.headers.items()}
        return CallFailure(classified("", key, error.status_code, headers, error.response.content))

    def _failed(self, reason: error_pb2.ErrorReason, message: str) -> CallFailure:
        return CallFailure(call_error(reason, f"{NAME}: {message}", provider=NAME))

    async def aclose(self) -> None:
        """Close the SDK's connections."""
        await self._client.close()


def classified(model: str, key: Secret, status: int, headers: Mapping[str, str], body: bytes) -> error_pb2.CallError:
    """What a status other than 200 means. Header names are lower case."""
    now_s, hide = time.time(), key.reveal()
    return classification.classify(NAME, status, headers, body, now_s=now_s, model=model, extra=ERRORS, hide=hide)
