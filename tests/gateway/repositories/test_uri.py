"""Which git URIs are taken: a table."""

from pathlib import Path

import pytest

from gateway.errors import InvalidInput
from gateway.repositories.uri import check_git_uri, origin_of

TAKEN = [
    ("https://git.example.org/group/project.git", "https://git.example.org"),
    ("https://GIT.example.org:443/p", "https://git.example.org"),
    ("https://git.example.org:8443/p", "https://git.example.org:8443"),
    ("ssh://git@git.example.org/group/project", "ssh://git.example.org"),
    ("ssh://git@git.example.org:2222/p", "ssh://git.example.org:2222"),
    ("git@git.example.org:group/project.git", "ssh://git.example.org"),
    ("https://[2606:4700::1]:8443/p", "https://[2606:4700::1]:8443"),
    ("https://1.1.1.1/p", "https://1.1.1.1"),
]
REFUSED = [
    ("--upload-pack=touch /tmp/x", "no URI"),
    ("-uhttps://git.example.org/p", "no URI"),
    ("ext::sh -c touch% /tmp/x", "no URI"),
    ("ext::sh", "no URI"),
    ("fd::17", "no URI"),
    ("https://git.example.org/a b", "no URI"),
    ("https://git.example.org/a\nb", "no URI"),
    ("http://git.example.org/p", "only https and ssh"),
    ("git://git.example.org/p", "only https and ssh"),
    ("ftp://git.example.org/p", "only https and ssh"),
    ("just words".replace(" ", "-"), "only https and ssh"),
    ("ssh://-oProxyCommand=x/p", "host name is not valid"),
    ("-oProxyCommand=x:p", "no URI"),
    ("ssh://-lroot@git.example.org/p", "host name is not valid"),
    ("git@-oProxyCommand=x:p", "host name is not valid"),
    ("ssh://evil.example%2Fx@git.example.org/p", "user name may have"),
    ("ssh://evil.example%3A22%2Fx@git.example.org/p", "user name may have"),
    ("evil.example%2Fx@git.example.org:p", "user name may have"),
    ("ssh://git@git%2eexample.org/p", "host name is not valid"),
    ("git@git.example.org:-p", "path of the repository"),
    ("https://git.example.org/", "path of the repository"),
    ("https://git.example.org:99999/p", "only https and ssh"),
    ("https://git.example.org/p?x=1", "leave out what follows"),
    ("https://git.example.org/p#main", "leave out what follows"),
    ("/srv/git/p.git", "does not allow repositories on the gateway's machine"),
    ("file:///srv/git/p.git", "does not allow repositories on the gateway's machine"),
    ("https://127.0.0.1/p", "MANTIK_ALLOWED_GIT_HOSTS"),
    ("https://127.1/p", "network that is not public"),
    ("https://0x7f000001/p", "network that is not public"),
    ("https://LocalHost:8443/p", "network that is not public"),
    ("ssh://git@git.localhost./p", "network that is not public"),
    ("git@10.0.0.1:p", "network that is not public"),
    ("https://169.254.169.254/latest", "network that is not public"),
    ("https://[::1]/p", "network that is not public"),
    ("https://[fd00::1]/p", "network that is not public"),
    ("https://[::ffff:192.168.0.1]/p", "network that is not public"),
    ("../p", "does not allow repositories on the gateway's machine"),
]


@pytest.mark.parametrize(("uri", "origin"), TAKEN)
def test_taken(uri: str, origin: str) -> None:
    assert check_git_uri(uri).origin == origin


@pytest.mark.parametrize(("uri", "words"), REFUSED)
def test_refused_with_a_clear_word(uri: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words) as caught:
        check_git_uri(uri)
    assert caught.value.detail.startswith("uri: ")


@pytest.mark.parametrize(
    "uri", ["https://me:S3cret@git.example.org/p", "https://S3cret@git.example.org/p", "ssh://me:S3cret@h.example/p"]
)
def test_an_embedded_credential_is_refused_and_not_repeated(uri: str) -> None:
    with pytest.raises(InvalidInput, match="make a connection") as caught:
        check_git_uri(uri)
    assert "S3cret" not in caught.value.detail


@pytest.mark.parametrize("uri", ["/srv/git/p.git", "file:///srv/git/p.git"])
def test_local_paths_where_the_operator_allows_them(uri: str) -> None:
    assert check_git_uri(uri, local_allowed=True).origin is None


@pytest.mark.parametrize("uri", ["../p", "~/p", "/srv/../etc", "file://host/p"])
def test_a_local_path_is_absolute_and_plain(uri: str) -> None:
    with pytest.raises(InvalidInput, match="absolute path"):
        check_git_uri(uri, local_allowed=True)


def test_no_local_path_of_the_gateway_itself(tmp_path: Path) -> None:
    (tmp_path / "way").symlink_to(tmp_path / "data")
    for path in ("data/git/mirrors/x", "way/git/mirrors/x"):
        with pytest.raises(InvalidInput, match="gateway's own directory"):
            check_git_uri(str(tmp_path / path), local_allowed=True, private=tmp_path / "data")


def test_only_allowed_hosts() -> None:
    assert check_git_uri("https://git.example.org/p", allowed_hosts=["git.example.org"]).origin
    with pytest.raises(InvalidInput, match=r"these hosts only: git\.example\.org"):
        check_git_uri("https://git.example.org.evil.example/p", allowed_hosts=["git.example.org"])


def test_origins() -> None:
    assert origin_of("https://git.example.org/") == "https://git.example.org"
    assert origin_of("ssh://git@git.example.org:22") == "ssh://git.example.org"
    with pytest.raises(InvalidInput, match="origin: give"):
        origin_of("http://git.example.org")


@pytest.mark.parametrize("uri", ["https://127.0.0.1/p", "git@localhost:p", "https://[::1]:8443/p"])
def test_an_operator_may_name_a_host_of_the_inner_network(uri: str) -> None:
    check_git_uri(uri, allowed_hosts=("127.0.0.1", "LOCALHOST", "::1"))
