import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.client import Client
from gateway.errors import (
    FieldProblem,
    GatewayError,
    InvalidInput,
    NotFound,
    TooMany,
    Unavailable,
)
from gateway.schemas.projects import CreateProject
from tests.gateway.client.conftest import QUICK
from tests.gateway.client.wire import Wire

ADDRESS = "Check MANTIK_API_URL: the address of a gateway ends in /api/v1."


def test_an_error_comes_back_as_its_class_with_all_it_said(wire: Wire, client: Client) -> None:
    with pytest.raises(InvalidInput) as caught:
        client.projects.create(CreateProject(name="bad"))
    assert caught.value.message == "The request is not valid."
    assert caught.value.problems == (FieldProblem("name", "is taken; choose another."),)


@pytest.mark.parametrize(
    ("fault", "kind", "text"),
    [
        ("html", GatewayError, f"There is no gateway at {{url}}/projects?limit=100. {ADDRESS}"),
        ("html404", GatewayError, f"There is no gateway at {{url}}/projects?limit=100. {ADDRESS}"),
        ("full", TooMany, "You have 1000 live runs. Wait for one to end."),
        (
            "broken",
            GatewayError,
            "Something went wrong in the gateway; its log has the details under the request id. "
            "Tell the operator of the gateway the request id req-7.",
        ),
        (
            "strange",
            GatewayError,
            "The answer of {url}/projects is not what this version of mantik expects (field items.0.projectId). "
            f"{ADDRESS} If it does, update mantik: pip install --upgrade mantik-gateway",
        ),
    ],
)
def test_a_wrong_answer_is_one_clear_text(
    wire: Wire, client: Client, fault: str, kind: type[GatewayError], text: str
) -> None:
    wire.faults = [("GET", "/projects", fault)]
    with pytest.raises(GatewayError) as caught:
        list(client.projects.list())
    assert type(caught.value) is kind
    assert caught.value.detail == text.format(url=wire.url)


@pytest.mark.parametrize("fault", ["busy", "proxy", "lost"])
def test_a_safe_call_is_sent_again(wire: Wire, client: Client, fault: str) -> None:
    wire.faults = [("GET", "/projects", fault)] * 3
    assert [p.name for p in client.projects.list()] == ["demo"]
    assert wire.count("GET", "/projects") == 4


def test_an_outage_that_stays_is_told(wire: Wire, client: Client) -> None:
    wire.faults = [("GET", "/projects", "proxy")] * 9
    with pytest.raises(Unavailable, match="answered with HTTP status 502"):
        list(client.projects.list())
    assert wire.count("GET", "/projects") == 4


def test_a_create_without_key_is_sent_once(wire: Wire, client: Client) -> None:
    wire.faults = [("POST", "/projects", "lost")]
    with pytest.raises(Unavailable, match="did not answer"):
        client.projects.create(CreateProject(name="x"))
    assert wire.count("POST", "/projects") == 1


def test_an_unreachable_server(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/api/v1"
    with Client(url, token="t", retries=QUICK) as client, pytest.raises(Unavailable) as caught:
        client.me()
    assert caught.value.message == f"The gateway at {url} cannot be reached: [Errno 111] Connection refused."
    assert caught.value.next_step == "Check MANTIK_API_URL and your network, then try again."


def test_a_certificate_of_nobody_we_know(tmp_path: Path) -> None:
    with _tls_server(tmp_path) as port:
        url = f"https://127.0.0.1:{port}/api/v1"
        with Client(url, token="t", retries=QUICK) as client, pytest.raises(Unavailable) as caught:
            client.me()
    assert caught.value.message.startswith(f"The identity of {url} could not be verified: ")
    assert "SSL_CERT_FILE" in caught.value.next_step


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("", "MANTIK_API_URL is not set."),
        ("host/api/v1", "MANTIK_API_URL is not an http(s) address."),
        ("ftp://host", "MANTIK_API_URL is not an http(s) address."),
        ("http://host:99999999/", "MANTIK_API_URL is not an http(s) address."),
        ("http://ada:secret@host/", "MANTIK_API_URL must not hold a user name or password."),
    ],
)
def test_a_bad_address(monkeypatch: pytest.MonkeyPatch, url: str, text: str) -> None:
    monkeypatch.setenv("MANTIK_API_URL", url)
    with pytest.raises(InvalidInput) as caught:
        Client()
    assert caught.value.message == text
    assert "secret" not in caught.value.detail


def test_names_are_found_and_near_ones_named(wire: Wire, client: Client) -> None:
    for name in ("one", "two", "two"):
        client.projects.create(CreateProject(name=name))
    assert client.projects.get("demo").name == "demo"
    with pytest.raises(NotFound) as caught:
        client.projects.get("dmo")
    assert caught.value.detail == (
        "There is no project named dmo. Did you mean demo? To see them: mantik projects list"
    )
    with pytest.raises(GatewayError, match="Several projects are named two"):
        client.projects.get("two")


def test_without_project_the_variable_is_named(wire: Wire, tmp_path: Path) -> None:
    with Client(wire.url, token="t", token_directory=tmp_path) as client, pytest.raises(InvalidInput) as caught:
        client.runs.get("x")
    assert "MANTIK_PROJECT_ID" in caught.value.detail


@contextmanager
def _tls_server(folder: Path) -> Iterator[int]:
    """Shows a certificate that it signed itself."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    from tests.gateway.client.wire import MADE

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(MADE).not_valid_after(MADE.replace(year=2040))
    certificate = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    kind = serialization.PrivateFormat.PKCS8
    secret = key.private_bytes(serialization.Encoding.PEM, kind, serialization.NoEncryption())
    (folder / "both.pem").write_bytes(secret + certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "both.pem")
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def greet() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    try:
                        context.wrap_socket(connection, server_side=True).close()
                    except (OSError, ssl.SSLError):
                        continue

        thread = threading.Thread(target=greet, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)
