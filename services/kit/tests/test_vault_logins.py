"""Ways into a real OpenBao beside AppRole: a pod's service account, and a namespace of one's own."""

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import aclosing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import hvac
import pytest
from authority import Authority
from openbao import Bank, Service

from antiphon_embedded.vault_server import running_vault

POLICY = 'path "secret/data/antiphon/{0}/*" {{ capabilities = ["read"] }}\n'
POLICY += 'path "secret/metadata/antiphon/{0}/*" {{ capabilities = ["read", "list"] }}'


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bank]:
    directory = tmp_path_factory.mktemp("vault")
    with running_vault(directory) as server:
        yield Bank(server, directory / "login")


class Reviews(BaseHTTPRequestHandler):
    """What OpenBao asks of a Kubernetes API server: whose a token is."""

    accounts: ClassVar[dict[str, str]] = {}

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        account = self.accounts.get(asked["spec"]["token"])
        status: dict[str, object] = {"authenticated": account is not None}
        if account is not None:
            status["user"] = {"username": f"system:serviceaccount:llm:{account}", "uid": "u1"}
        body = json.dumps({"kind": "TokenReview", "status": status}).encode()
        self.send_response(201)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def kubernetes() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Reviews) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def service_account_token(name: str) -> str:
    """As a pod has it, with a signature that only a review can judge."""
    claims = {
        "kubernetes.io": {"namespace": "llm", "serviceaccount": {"name": name, "uid": "u1"}},
        "sub": f"system:serviceaccount:llm:{name}",
        "iat": 1,
        "nbf": 1,
        "exp": 4_102_444_800,
    }
    parts = (json.dumps({"alg": "RS256"}), json.dumps(claims), "signature")
    return ".".join(base64.urlsafe_b64encode(part.encode()).rstrip(b"=").decode() for part in parts)


def secrets_of(client: hvac.Client, provider: str, key: str) -> None:
    client.sys.create_or_update_policy(f"antiphon-{provider}", POLICY.format(provider))
    client.secrets.kv.v2.create_or_update_secret(f"antiphon/{provider}/default", {"value": key})


async def test_a_service_account_logs_in_and_only_as_what_it_is(bank: Bank, kubernetes: str, tmp_path: Path) -> None:
    bank.bootstrap("openai")
    with bank.server.root() as root:
        secrets_of(root, "openai", "of-the-pod")
        root.sys.enable_auth_method("kubernetes")
        root.write_data(
            "auth/kubernetes/config",
            data={
                "kubernetes_host": kubernetes,
                "kubernetes_ca_cert": Authority("cluster").pem,
                "token_reviewer_jwt": service_account_token("reviewer"),
                "disable_local_ca_jwt": True,
            },
        )
        role = {"bound_service_account_names": ["openai"], "bound_service_account_namespaces": ["llm"]}
        root.write_data("auth/kubernetes/role/openai", data={**role, "token_policies": ["antiphon-openai"]})
    Reviews.accounts = {service_account_token(name): name for name in ("openai", "cohere")}
    file = tmp_path / "token"
    file.write_text(service_account_token("openai"))
    settings = bank.settings("openai", auth="kubernetes", role="openai", jwt_file=str(file))
    async with aclosing(Service(settings, "openai/default")) as service:
        await service.ring.poll()
        assert await service.use() == "of-the-pod"
        assert service.rules == []
    file.write_text(service_account_token("cohere"))
    async with aclosing(Service(settings, "openai/default")) as other:
        await other.ring.poll()
        assert "got" not in await other.missing()
        assert other.rules


async def test_keys_of_a_namespace_are_read_there_and_nowhere_else(bank: Bank, tmp_path: Path) -> None:
    bank.bootstrap("openai")
    bank.put("openai/default", "of-the-root")
    with bank.server.root() as root:
        root.write_data("sys/namespaces/team", data={})
        own = hvac.Client(url=bank.server.address, token=root.token, namespace="team")
        own.sys.enable_secrets_engine("kv", path="secret", options={"version": "2"})
        secrets_of(own, "openai", "of-the-team")
        token = own.auth.token.create(policies=["antiphon-openai"])["auth"]["client_token"]
        own.adapter.close()
    file = tmp_path / "token"
    file.write_text(token)
    settings = bank.settings("openai", auth="token-file", token_file=str(file), namespace="team")
    async with aclosing(Service(settings, "openai/default")) as service:
        await service.ring.poll()
        assert await service.use() == "of-the-team"
