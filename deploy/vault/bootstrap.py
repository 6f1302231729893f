#!/usr/bin/env python3
"""Owns what Antiphon needs in a Vault or OpenBao: engine, policies, identities, authority. Run it again at will.

    VAULT_ADDR=https://… VAULT_TOKEN=… deploy/vault/bootstrap.py --provider openai --provider anthropic --out DIR

Needs the package hvac and a token that may manage mounts, policies and auth methods. Per service it writes to DIR what
the service logs in with: `<service>.role-id`, and `<service>.secret-id` with a wrapping token that works once; and
`<service>.tls-secret-id`, the same for its certificates.

Forbids itself: provider keys. Whoever has them writes them, with `bao kv put` or `vault kv put`.
"""

import argparse
import base64
import os
import secrets
import string
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import hvac
import hvac.exceptions

POLICIES = Path(__file__).parent / "policies"
MAX_VERSIONS = 32
UPGRADE_S = 15.0
SLOT = "default"
STATE = "-state"


def main(argv: Sequence[str], env: Mapping[str, str]) -> int:
    """Do all of it; returns the exit code."""
    options = _options(argv)
    client = hvac.Client(
        url=options.address or env.get("VAULT_ADDR") or env.get("BAO_ADDR") or "http://127.0.0.1:8200",
        token=env.get("VAULT_TOKEN") or env.get("BAO_TOKEN") or "",
        namespace=options.namespace or None,
        verify=options.ca_file or True,
        timeout=10,
    )
    try:
        _bootstrap(client, options)
    except hvac.exceptions.Forbidden:
        sys.stderr.write("denied: VAULT_TOKEN needs to be a token that may manage mounts, policies and auth methods\n")
        return 1
    finally:
        client.adapter.close()
    return 0


def _options(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--provider", action="append", default=[], help="a provider service; may be given again")
    parser.add_argument("--slot", action="append", default=[], help="a further key, <provider>/<name>")
    parser.add_argument("--service", action="append", default=[], help="a service without keys; router is always there")
    parser.add_argument("--address", default="", help="of the server; VAULT_ADDR by default")
    parser.add_argument("--namespace", default="", help="where the server has them")
    parser.add_argument("--ca-file", default="", help="authorities to trust")
    parser.add_argument("--mount", default="secret", help="KV engine, version 2 (secret)")
    parser.add_argument("--prefix", default="antiphon", help="path of the suite below it (antiphon)")
    parser.add_argument("--pki", default="antiphon-pki", help="mount of the authority for the services (antiphon-pki)")
    parser.add_argument("--token-ttl", default="1h", help="life of a service's token between renewals (1h)")
    parser.add_argument("--token-max-ttl", default="24h", help="after which it logs in anew (24h)")
    parser.add_argument("--wrap-ttl", default="1h", help="within which a service has to fetch its secret-id (1h)")
    parser.add_argument("--out", type=Path, help="directory for what the services log in with")
    parser.add_argument(
        "--kubernetes", metavar="URL", default="", help="also set up Kubernetes auth for this API server"
    )
    parser.add_argument("--kubernetes-ca-file", default="", help="its authority, where the secret store runs elsewhere")
    parser.add_argument("--kubernetes-namespace", default="antiphon", help="of the service accounts (antiphon)")
    parser.add_argument("--audit-file", default="", help="also write an audit log there, on the server")
    return parser.parse_args(argv)


def _bootstrap(client: hvac.Client, options: argparse.Namespace) -> None:
    if options.audit_file:
        _audit(client, options.audit_file)
    _engine(client, options)
    _authority(client, options)
    _fingerprint(client, options)
    identities = {"coordinator": "coordinator", "operator": "operator"}
    identities |= dict.fromkeys(("router", *options.service), "service")
    identities |= dict.fromkeys(options.provider, "provider")
    _mount_auth(client, "approle")
    if options.kubernetes:
        _mount_auth(client, "kubernetes")
        ca = Path(options.kubernetes_ca_file).read_text(encoding="ascii") if options.kubernetes_ca_file else None
        client.auth.kubernetes.configure(
            kubernetes_host=options.kubernetes, kubernetes_ca_cert=ca, disable_local_ca_jwt=ca is not None
        )
    slots = _slots(client, options)
    for name, kind in identities.items():
        _policy(client, options, name, kind, slots if kind == "coordinator" else ())
        _roles(client, options, name)
        if options.out:
            _hand_out(client, options, name)


def _audit(client: hvac.Client, path: str) -> None:
    if "file/" in client.sys.list_enabled_audit_devices()["data"]:
        return _done("audit device: there")
    try:
        client.sys.enable_audit_device("file", options={"file_path": path})
    except hvac.exceptions.VaultError:
        _done("audit device: this server takes it from its configuration only; see docs/vault.md")
    else:
        _done(f"audit device: {path}")


def _engine(client: hvac.Client, options: argparse.Namespace) -> None:
    mounts = client.sys.list_mounted_secrets_engines()["data"]
    found = mounts.get(f"{options.mount}/")
    if found is None:
        client.sys.enable_secrets_engine("kv", path=options.mount, options={"version": "2"})
        _once_upgraded(lambda: client.secrets.kv.v2.configure(max_versions=MAX_VERSIONS, mount_point=options.mount))
    elif found["type"] != "kv" or (found.get("options") or {}).get("version") != "2":
        raise SystemExit(f"{options.mount}/ is no KV engine of version 2; choose another one with --mount")
    _done(f"KV engine: {options.mount}/")


def _once_upgraded(call: Callable[[], object]) -> None:
    """A new engine turns itself into version 2, and refuses everything until it has."""
    deadline_s = time.monotonic() + UPGRADE_S
    while True:
        try:
            call()
            return  # noqa: TRY300 - the loop ends here
        except hvac.exceptions.InvalidRequest as error:
            if "pgrad" not in str(error) or time.monotonic() > deadline_s:
                raise
            time.sleep(0.1)


def _slots(client: hvac.Client, options: argparse.Namespace) -> list[str]:
    """All there are, with room for the versions of a rotation. What is set already stays."""
    kv = client.secrets.kv.v2
    wanted = {*options.slot, *(f"{provider}/{SLOT}" for provider in options.provider)}
    for slot in sorted(wanted):
        key = f"{options.prefix}/{slot}"
        for path, rules in ((key, {"max_versions": MAX_VERSIONS}), (f"{key}{STATE}", {"cas_required": True})):
            try:
                kv.read_secret_metadata(path, mount_point=options.mount)
            except hvac.exceptions.InvalidPath:
                kv.update_metadata(path, mount_point=options.mount, **rules)
        _done(f"slot: {options.mount}/{key}")
    found = {
        f"{provider}{name}"
        for provider in _listed(client, options, options.prefix)
        if provider.endswith("/")
        for name in _listed(client, options, f"{options.prefix}/{provider}")
        if not name.endswith((STATE, "/"))
    }
    return sorted(found | wanted)


def _listed(client: hvac.Client, options: argparse.Namespace, path: str) -> list[str]:
    try:
        listed = client.secrets.kv.v2.list_secrets(path, mount_point=options.mount)
    except hvac.exceptions.InvalidPath:
        return []
    return list(listed["data"]["keys"])


def _authority(client: hvac.Client, options: argparse.Namespace) -> None:
    mounts = client.sys.list_mounted_secrets_engines()["data"]
    if f"{options.pki}/" not in mounts:
        client.sys.enable_secrets_engine("pki", path=options.pki, config={"max_lease_ttl": "87600h"})
        client.secrets.pki.generate_root(
            "internal",
            "antiphon services",
            extra_params={"ttl": "87600h", "key_type": "ec", "key_bits": 256},
            mount_point=options.pki,
        )
    _done(f"authority: {options.pki}/")


def _fingerprint(client: hvac.Client, options: argparse.Namespace) -> None:
    value = base64.b64encode(secrets.token_bytes(32)).decode()
    try:
        client.secrets.kv.v2.create_or_update_secret(
            f"{options.prefix}/fingerprint", {"value": value}, cas=0, mount_point=options.mount
        )
    except hvac.exceptions.InvalidRequest:
        _done("fingerprint key: there")
    else:
        _done("fingerprint key: made")


def _mount_auth(client: hvac.Client, kind: str) -> None:
    if f"{kind}/" not in client.sys.list_auth_methods()["data"]:
        client.sys.enable_auth_method(kind)
    _done(f"auth: {kind}/")


def _policy(client: hvac.Client, options: argparse.Namespace, name: str, kind: str, slots: Sequence[str]) -> None:
    words = {"mount": options.mount, "prefix": options.prefix, "pki": options.pki, "provider": name, "service": name}
    text = _template(f"{kind}.hcl").substitute(words)
    text += "".join(_template(f"{kind}-slot.hcl").substitute(words, slot=slot) for slot in slots)
    client.sys.create_or_update_policy(f"antiphon-{name}", text)
    _done(f"policy: antiphon-{name}")


def _template(file: str) -> string.Template:
    return string.Template((POLICIES / file).read_text(encoding="utf-8"))


def _roles(client: hvac.Client, options: argparse.Namespace, name: str) -> None:
    role = f"antiphon-{name}"
    client.auth.approle.create_or_update_approle(
        role,
        token_policies=[role],
        token_ttl=options.token_ttl,
        token_max_ttl=options.token_max_ttl,
        secret_id_num_uses=0,
        bind_secret_id=True,
    )
    if options.kubernetes:
        client.auth.kubernetes.create_role(
            role,
            bound_service_account_names=[role],
            bound_service_account_namespaces=[options.kubernetes_namespace],
            policies=[role],
            ttl=options.token_ttl,
        )
    client.secrets.pki.create_or_update_role(role, _certificate(name), mount_point=options.pki)
    _done(f"roles: {role}")


def _certificate(name: str) -> dict[str, Any]:
    """What a service may ask for: its own name in the SPIFFE form, for both ends of a connection, for a day."""
    return {
        "allowed_uri_sans": [f"spiffe://antiphon/{name}"],
        # The first is what every server of the suite has, see docs/tls.md.
        "allowed_domains": ["antiphon", f"antiphon-{name}", "localhost"],
        "allow_bare_domains": True,
        "allow_subdomains": True,
        "allow_ip_sans": True,
        "require_cn": False,
        "key_type": "ec",
        "key_bits": 256,
        "max_ttl": "24h",
        "ttl": "24h",
        "server_flag": True,
        "client_flag": True,
    }


def _hand_out(client: hvac.Client, options: argparse.Namespace, name: str) -> None:
    role = f"antiphon-{name}"
    options.out.mkdir(mode=0o700, parents=True, exist_ok=True)
    role_id = client.auth.approle.read_role_id(role)["data"]["role_id"]
    _write(options.out / f"{name}.role-id", role_id)
    # One for keys, one for certificates: a wrapping token opens once.
    for kind in ("secret-id", "tls-secret-id"):
        wrapped = client.auth.approle.generate_secret_id(role, wrap_ttl=options.wrap_ttl)
        _write(options.out / f"{name}.{kind}", wrapped["wrap_info"]["token"])
    _done(f"login: {options.out / name}.role-id and .secret-id, to be used within {options.wrap_ttl}")


def _write(path: Path, value: str) -> None:
    fresh = path.with_name(f".{path.name}.new")
    fresh.touch(mode=0o600)
    fresh.write_text(value + "\n", encoding="ascii")
    fresh.replace(path)


def _done(line: str) -> None:
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
