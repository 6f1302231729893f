"""Owns the routes file: from YAML to a checked `antiphon.config.v1.Suite`, or to all its mistakes at once.

Forbids itself: reading secrets (the file holds references to them) and showing what stands in their place.
"""

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from antiphon.config.v1 import suite_pb2
from antiphon_kit.config_limits import check_fleet, check_limits
from antiphon_kit.config_routes import check_model, check_route
from antiphon_kit.config_scalars import shown, suggestion
from antiphon_kit.config_yaml import ConfigError, Places, Problem, read
from antiphon_kit.key_sources import KEY_REFERENCE_FORMS, is_key_reference
from antiphon_kit.settings import is_account_name, is_address, is_plain_url

__all__ = ["ConfigError", "load_suite", "parse_suite", "provider_names", "read_suite"]

_BACKEND_ID: Final = re.compile(r"[a-z0-9-]{1,63}")
_PROVIDER: Final = re.compile(r"[a-z][a-z0-9_.-]{0,62}")
_FIELD_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_LABEL: Final = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_K8S: Final = re.compile(rf"k8s:///{_LABEL}/{_LABEL}:(?P<port>[a-z0-9-]{{1,15}})")
_ADDRESS_FORMS: Final = "host:port, dns:///host:port or k8s:///namespace/service:port, without http://"


def load_suite(path: str | Path) -> suite_pb2.Suite:
    """The suite in the routes file at `path`. Raises ConfigError with every mistake in it."""
    return parse_suite(read_suite(path), str(path))


def read_suite(path: str | Path) -> bytes:
    """The content of the routes file at `path`. Raises ConfigError where there is none to be had."""
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        problem = "no such file; write one, or name another routes file"
    except IsADirectoryError:
        problem = "is a directory; name the routes file in it"
    except PermissionError:
        problem = "cannot be read by this user; change its owner or mode"
    except (OSError, ValueError):
        problem = "cannot be read; check the path and the disk"
    raise ConfigError([f"{path}: {problem}"])


def parse_suite(raw: bytes, file: str) -> suite_pb2.Suite:
    """The suite in the content of `file`. Raises ConfigError with every mistake in it."""
    suite = suite_pb2.Suite()
    places = Places(file)
    read(raw, suite, places)
    _check(suite, places.problem)
    places.check()
    return suite


def provider_names(suite: suite_pb2.Suite) -> tuple[str, ...]:
    """The providers that the suite's backends serve, sorted."""
    return tuple(sorted({backend.provider for backend in suite.backends}))


def _check(suite: suite_pb2.Suite, problem: Problem) -> None:
    if not suite.backends:
        problem("backends", "none; add at least one with id, provider and addresses")
    _unique("backends", "id", [backend.id for backend in suite.backends], problem)
    _unique("routes", "model", [route.model for route in suite.routes], problem)
    _unique("limits.callers", "caller", [limit.caller for limit in suite.limits.callers], problem)
    _unique("compat", "name", [server.name for server in suite.compat], problem)
    for index, backend in enumerate(suite.backends):
        _check_backend(backend, f"backends[{index}]", problem)
    by_id = {backend.id: backend for backend in suite.backends}
    for index, route in enumerate(suite.routes):
        check_route(route, f"routes[{index}]", by_id, problem)
    for index, server in enumerate(suite.compat):
        _check_compat(server, f"compat[{index}]", problem)
    check_limits(suite.limits, problem)
    if suite.HasField("fleet"):
        check_fleet(suite.fleet, problem)
    if suite.default_llm:
        _check_default(suite, problem)


def _unique(where: str, name: str, values: list[str], problem: Problem) -> None:
    first: dict[str, int] = {}
    for index, value in enumerate(values):
        if value and first.setdefault(value, index) != index:
            taken = f"{where}[{first[value]}]"
            problem(f"{where}[{index}].{name}", f"{shown(value)} is taken by {taken}; choose another")


def _check_backend(backend: suite_pb2.Backend, path: str, problem: Problem) -> None:
    if not _BACKEND_ID.fullmatch(backend.id):
        problem(f"{path}.id", f"{shown(backend.id)} is no id; use 1 to 63 of a-z, 0-9 and -")
    _check_provider(backend.provider, f"{path}.provider", problem)
    if not backend.addresses:
        problem(f"{path}.addresses", "none; add host:port for a replica, or dns:///host:port for all behind a name")
    for index, address in enumerate(backend.addresses):
        _check_address(address, f"{path}.addresses[{index}]", problem)
    for address, count in Counter(backend.addresses).items():
        if count > 1:
            problem(f"{path}.addresses", f"{shown(address)} is here {count} times; keep one")
    if backend.state_domain and not is_account_name(backend.state_domain):
        problem(f"{path}.state_domain", "not a usable name; use up to 63 letters, digits, '.', '_' or '-'")
    check_model(backend.default_model, f"{path}.default_model", problem)
    for name in ("max_in_flight", "requests_per_minute", "tokens_per_minute"):
        if (value := getattr(backend, name)) < 0:
            problem(f"{path}.{name}", f"{value} is below 0; use 0 for no bound")
    if backend.HasField("relative_cost") and backend.relative_cost <= 0:
        problem(f"{path}.relative_cost", f"{backend.relative_cost:g} is not above 0; use 1 for the usual price")


def _check_provider(name: str, path: str, problem: Problem) -> None:
    if not _PROVIDER.fullmatch(name):
        what = f"{shown(name)} is no provider name; begin with a-z, then up to 62 of a-z, 0-9, '_', '.' and '-'"
        problem(path, what)


def _check_address(address: str, path: str, problem: Problem) -> None:
    host_port = address.removeprefix("dns:///")
    k8s = _K8S.fullmatch(address)
    if k8s is None:
        usable = is_address(host_port) and not host_port.endswith(":0")
    else:
        port = k8s["port"]
        usable = 1 <= int(port) <= 65535 if port.isdigit() else not port.startswith("-") and not port.endswith("-")
    if not usable:
        problem(path, f"{shown(address)} is no address; use {_ADDRESS_FORMS}")


def _check_compat(server: suite_pb2.CompatServer, path: str, problem: Problem) -> None:
    _check_provider(server.name, f"{path}.name", problem)
    if not is_plain_url(server.base_url):
        # Not shown: a password may be in it.
        what = "not a plain URL; use http://host:port/v1 or https://host/v1, without user, password, ? and #"
        problem(f"{path}.base_url", what)
    if not is_key_reference(server.api_key):
        problem(
            f"{path}.api_key", f"not a reference to a key (not shown); use {KEY_REFERENCE_FORMS}, never the key itself"
        )
    if server.max_tokens_field and not _FIELD_NAME.fullmatch(server.max_tokens_field):
        problem(f"{path}.max_tokens_field", f"{shown(server.max_tokens_field)} is no field name; use e.g. max_tokens")


def _check_default(suite: suite_pb2.Suite, problem: Problem) -> None:
    name = suite.default_llm
    providers = provider_names(suite)
    if name in {route.model for route in suite.routes}:
        return
    provider, slash, model = name.partition("/")
    if provider not in providers:
        known = _names((*(route.model for route in suite.routes), *providers))
        problem("default_llm", f"nothing here is called {shown(name)}; {suggestion(name, known)}")
    elif slash and not model:
        problem("default_llm", f"no model after {provider}/; give one")
    elif not slash and not any(each.default_model for each in suite.backends if each.provider == provider):
        problem("default_llm", f"no backend of {provider} has a default_model; add one, or name {provider}/<model>")


def _names(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(filter(None, names)))
