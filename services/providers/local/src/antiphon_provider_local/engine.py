"""Owns llama.cpp: one model, loaded once. Every method blocks its thread.

Forbids itself: the event loop, and what is in the JSON text that goes in and out.
"""

import http
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import xllamacpp

from antiphon_contract.errors import Reason, failure
from antiphon_provider_local.private_http import PrivateHttp
from antiphon_provider_local.refusals import refused
from antiphon_provider_local.settings import LocalSettings

_SILENT: Final = -1
_INFO: Final = 3


@dataclass(frozen=True, slots=True)
class Facts:
    """What the loaded model can do."""

    context_tokens: int
    """Input and output of one call; less than what was asked for where the model was trained on less."""
    takes_tools: bool
    """The chat template shows tools to the model."""


class Engine:
    """A loaded model. Raises CallFailure(PROVIDER_ERROR) if it cannot be loaded."""

    def __init__(self, settings: LocalSettings) -> None:
        self._settings = settings
        self._http = PrivateHttp()
        try:
            self._server: Any = self._load()
            self.facts = self._read_facts()
        except BaseException:
            self._http.close()
            raise

    def _load(self) -> Any:
        try:
            return xllamacpp.Server(_params(self._settings, self._http))
        except RuntimeError:
            raise failure(
                Reason.ERROR_REASON_PROVIDER_ERROR,
                f"llama.cpp cannot load {self._settings.model_path.name}: not enough memory for LOCAL_CONTEXT_TOKENS "
                "times LOCAL_PARALLEL, or a damaged or too new GGUF file; LOCAL_ENGINE_LOG=true shows its own words",
            ) from None

    def chat(self, body: bytes, on_chunk: Callable[[bytes], bool]) -> None:
        """Decode one chat-completions request; `on_chunk` gets each chunk and returns True to stop.

        `on_chunk` must not raise: llama.cpp would lose it. Decoding runs ahead of a slow `on_chunk`, up to the end of
        the context (measured, xllamacpp 2026.10.11549), so what piles up is bounded by `facts.context_tokens`.
        """
        try:
            self._server.handle_chat_completions(body, on_chunk)
        except (RuntimeError, ValueError):
            # Thrown while the request is parsed and the template filled in, so it lies in the request. The text may
            # quote the prompt.
            raise failure(
                Reason.ERROR_REASON_INVALID_REQUEST,
                "llama.cpp cannot take this request with this model; check params.output_format, the order of roles "
                "in prompt.messages, and options.provider_json",
            ) from None

    def count_tokens(self, body: bytes) -> bytes:
        """The input tokens of a chat-completions request, as `{"input_tokens": n}`."""
        return self.query("/v1/chat/completions/input_tokens", body)

    def query(self, path: str, body: bytes | None = None) -> bytes:
        """Ask llama.cpp's own HTTP face, by POST if there is a body. Raises CallFailure."""
        status, answer = self._http.ask(path, body)
        if status != http.HTTPStatus.OK:
            raise refused(answer, self._settings.model_name)
        return answer

    def _read_facts(self) -> Facts:
        properties = json.loads(self.query("/props"))
        return Facts(
            context_tokens=int(properties["default_generation_settings"]["n_ctx"]),
            takes_tools=bool(properties["chat_template_caps"]["supports_tools"]),
        )

    def close(self) -> None:
        """Give the memory back. No call may be running."""
        self._server = None
        self._http.close()


def _params(settings: LocalSettings, private_http: PrivateHttp) -> Any:
    params = xllamacpp.CommonParams()
    params.model.path = str(settings.model_path)
    # Replaces the path of the file, which is what llama.cpp calls the model otherwise.
    params.model_alias = {settings.model_name}
    params.hostnames = [private_http.host]
    params.api_keys = [private_http.key]
    params.n_threads_http = 2
    params.n_parallel = settings.parallel
    params.n_ctx = settings.context_tokens * settings.parallel
    params.n_batch = params.n_ubatch = settings.batch_tokens
    for cpu in (params.cpuparams, params.cpuparams_batch):
        cpu.n_threads = settings.threads
        cpu.poll = 0  # sleep between steps instead of spinning: the CPUs are shared with other replicas
    params.cache_ram_mib = 0  # else up to 8 GiB of old prompts; each slot still keeps its last one
    params.cache_idle_slots = False
    params.fit_params = False  # a context that does not fit is an error, not a smaller context
    params.warmup = False
    params.verbosity = _INFO if settings.engine_log else _SILENT
    return params
