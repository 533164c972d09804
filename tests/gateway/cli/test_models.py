"""`mantik models`: what is sent, and what is printed where."""

import io
import json
import tarfile
from pathlib import Path

import pytest

from tests.gateway.cli.conftest import Mantik
from tests.gateway.client.wire import MODEL, PROJECT, RUN, Wire, identifier, model_view

NEW = identifier(40)
MODELS = f"/projects/{PROJECT}/models/trained"
NOT_WHOLE = "Error: The download is no whole archive of a model.\nNext: Try again.\n"
LOADS = f"To load it: mlflow.pyfunc.load_model('models:/{PROJECT}.net/1')\n"


def archive(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return packed.getvalue()


def test_register_sends_run_name_and_path(mantik: Mantik, wire: Wire) -> None:
    done = mantik("models", "register", "train", "--name", "digits")
    assert (done.code, done.out, done.err) == (0, f"{NEW}\n", LOADS)
    assert wire.bodies[-1] == {"name": "digits", "runId": RUN}
    mantik("models", "register", RUN, "--name", "other", "--artifact-path", "epoch-3")
    assert wire.bodies[-1] == {"name": "other", "runId": RUN, "artifactPath": "epoch-3"}


def test_register_while_mlflow_is_away(mantik: Mantik, wire: Wire) -> None:
    wire.things[MODELS] = [model_view(status="PENDING", uri=None, message="The tracking server does not answer now.")]
    done = mantik("models", "register", "train", "--name", "digits")
    assert (done.code, done.out) == (0, f"{NEW}\n")
    assert done.err == (
        f"It is PENDING: The tracking server does not answer now. To see how it goes: mantik models describe {NEW}\n"
    )


def test_list(mantik: Mantik, wire: Wire) -> None:
    assert mantik("models", "list").out == (
        "NAME  STATUS      RUN    COMMIT        SITE     BY   REGISTERED  ID\n"
        f"net   REGISTERED  train  c0ffeec0ffee  cluster  ada  3m ago      {MODEL}\n"
    )
    wire.things[MODELS] = []
    done = mantik("models", "list")
    assert (done.out, done.err) == ("", "There is no model yet. To register one: mantik models register --help\n")


def test_describe_leads_back_to_run_commit_job_account_and_cost(mantik: Mantik) -> None:
    assert mantik("models", "describe", "net").out == (
        "Name:          net\n"
        f"Id:            {MODEL}\n"
        "Status:        REGISTERED\n"
        f"URI:           models:/{PROJECT}.net/1\n"
        "Location:      MLflow\n"
        "Artifact path: model\n"
        "Logged model:  m-1\n"
        "Registered by: ada\n"
        "Registered:    2026-01-02 03:04:05 UTC\n"
        "Changed:       2026-01-02 03:04:05 UTC\n"
        "\n"
        "Comes from:\n"
        f"  Run:         train ({RUN})\n"
        "  Commit:      c0ffeec0ffeec0ffeec0ffeec0ffeec0ffee\n"
        "  Branch:      main\n"
        f"  Code:        {identifier(4)}\n"
        "  Entry point: main\n"
        f"  Experiment:  {identifier(3)}\n"
        "  MLflow run:  abc\n"
        "  Site:        cluster\n"
        "  Job:         4711\n"
        "  Account:     proj1\n"
        "\n"
        "Cost:\n"
        "  Elapsed:    1h00m\n"
        "  Nodes:      2\n"
        "  Node hours: 2\n"
        "  CPU hours:  96.5\n"
        "  GPU hours:  unknown\n"
        "  Billing:    16 (the site's own measure)\n"
        "\n"
        "Parameters:\n"
        "  epochs: 3\n"
    )


def test_describe_a_model_that_was_given_by_its_uri(mantik: Mantik, wire: Wire) -> None:
    wire.things[MODELS] = [model_view(origin=None, runId=None, uri="https://hub/net", mlflowParameters={})]
    done = mantik("models", "describe", MODEL)
    assert "URI:           https://hub/net\n" in done.out
    assert "Comes from" not in done.out
    told = json.loads(mantik("models", "describe", "net", "-o", "json").out)
    assert (told["modelId"], told["origin"]) == (MODEL, None)


def test_rename(mantik: Mantik, wire: Wire) -> None:
    done = mantik("models", "rename", "net", "better")
    assert (done.out, done.err) == (f"{MODEL}\n", f"It is at models:/{PROJECT}.better/1 now.\n")
    assert wire.bodies[-1] == {"name": "better"}


def test_unregister_asks_first(mantik: Mantik, wire: Wire) -> None:
    done = mantik("models", "unregister", "net", given="n\n", terminal=True)
    assert done.code == 1
    assert f"Unregister model net ({MODEL})?" in done.err
    assert len(wire.things[MODELS]) == 1
    done = mantik("models", "unregister", "net", "--yes")
    assert (done.code, done.err) == (0, "Unregistered model net.\n")
    assert wire.things[MODELS] == []
    gone = mantik("models", "unregister", "net")
    assert (gone.code, gone.out) == (5, "")
    assert "There is no model named net." in gone.err
    assert "mantik models list" in gone.err


def test_download_into_a_new_directory(mantik: Mantik, wire: Wire, tmp_path: Path) -> None:
    wire.archive = archive({"net/MLmodel": b"flavors", "net/data/weights": b"w" * 3000})
    done = mantik("models", "download", "net")
    assert (done.code, done.out) == (0, "net\n")
    assert (tmp_path / "net" / "MLmodel").read_bytes() == b"flavors"
    assert (tmp_path / "net" / "data" / "weights").read_bytes() == b"w" * 3000
    again = mantik("models", "download", "net")
    assert (again.code, again.err) == (6, "Error: net is there already.\nNext: Give another directory.\n")
    assert mantik("models", "download", "net", "--to", "a/b").out == "a/b\n"
    assert sorted(path.name for path in tmp_path.iterdir() if not path.name.startswith("state")) == ["a", "net"]


@pytest.mark.parametrize("name", ["../evil", "/tmp/evil", "net/../../evil"])
def test_nothing_in_an_archive_leads_out_of_the_directory(
    mantik: Mantik, wire: Wire, tmp_path: Path, name: str
) -> None:
    wire.archive = archive({"net/MLmodel": b"flavors", name: b"bad"})
    done = mantik("models", "download", "net", "--to", "here/model")
    assert done.code == 9
    assert done.err == NOT_WHOLE
    assert not (tmp_path / "evil").exists()
    assert not (tmp_path / "here" / "evil").exists()
    assert list((tmp_path / "here").iterdir()) == []


def test_of_a_download_that_was_cut_nothing_is_left(mantik: Mantik, wire: Wire, tmp_path: Path) -> None:
    wire.archive = archive({"net/MLmodel": b"flavors", "net/weights": b"w" * 30_000})[:20_000]
    done = mantik("models", "download", "net", "--to", "here/model")
    assert (done.code, done.err) == (9, NOT_WHOLE)
    assert list((tmp_path / "here").iterdir()) == []


def test_image(mantik: Mantik, wire: Wire) -> None:
    done = mantik("models", "image", "net")
    assert done.out == f"{wire.url}/model-images/secret/net.tar.gz\n"
    assert done.err == "It holds a README with what a build needs.\n"
