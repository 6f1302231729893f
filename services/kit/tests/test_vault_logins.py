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


async def test_a_service_account_logs_in_and_only_as_what_it_is(bank: Bank, kubernetes: str, tmp_path: Path) -> None:
    authority, token = tmp_path / "ca.crt", tmp_path / "token"
    authority.write_text(Authority("cluster").pem)
    cluster = ("--kubernetes", kubernetes, "--kubernetes-ca-file", str(authority), "--kubernetes-namespace", "llm")
    bank.bootstrap("openai", options=cluster)
    bank.put("openai/default", "of-the-pod")
    names = ("antiphon-openai", "antiphon-cohere")
    Reviews.accounts = {service_account_token(name): name for name in names}
    settings = bank.settings("openai", auth="kubernetes", role="antiphon-openai", jwt_file=str(token))
    token.write_text(service_account_token("antiphon-openai"))
    async with aclosing(Service(settings, "openai/default")) as service:
        await service.ring.poll()
        assert await service.use() == "of-the-pod"
        assert service.rules == []
    token.write_text(service_account_token("antiphon-cohere"))
    async with aclosing(Service(settings, "openai/default")) as other:
        await other.ring.poll()
        assert "refuses the kubernetes login" in await other.missing()
        assert other.rules


async def test_keys_of_a_namespace_are_read_there_and_nowhere_else(bank: Bank) -> None:
    bank.bootstrap("openai")
    bank.put("openai/default", "of-the-root")
    with bank.server.root() as root:
        root.write_data("sys/namespaces/team", data={})
        own = hvac.Client(url=bank.server.address, token=root.token, namespace="team")
        bank.bootstrap("openai", options=("--namespace", "team"))
        own.secrets.kv.v2.create_or_update_secret("antiphon/openai/default", {"value": "of-the-team"})
        own.adapter.close()
    async with aclosing(Service(bank.settings("openai", namespace="team"), "openai/default")) as service:
        await service.ring.poll()
        assert await service.use() == "of-the-team"
