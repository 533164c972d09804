"""The archive is one that anybody's tar reads."""

import io
import tarfile

from backends.host.places import Archive


def test_an_archive_holds_what_was_put_in() -> None:
    archive = Archive()
    long = f"new/{'r' * 200}/1/job.sh"
    files = {"new/r/1/job.sh": b"echo\n", "empty": b"", "whole": bytes(1024), long: b"x" * 513, "ü": b"y"}
    for name, data in files.items():
        archive.file(name, data)
    archive.directory("new/r/1/submitted")
    archive.symlink("of/r", "../code/" + "5" * 64)
    archive.link("new/r/1/ticket", "empty")
    with tarfile.open(fileobj=io.BytesIO(archive.bytes())) as tar:
        members = {member.name: member for member in tar}
        read = {name: tar.extractfile(name) for name in files}
    assert {name: file.read() for name, file in read.items() if file} == files
    assert all(members[name].mode == 0o600 for name in files)
    assert members["new/r/1/submitted"].isdir()
    assert (members["of/r"].issym(), members["of/r"].linkname) == (True, "../code/" + "5" * 64)
    assert (members["new/r/1/ticket"].islnk(), members["new/r/1/ticket"].linkname) == (True, "empty")
    assert len(members) == len(files) + 3
