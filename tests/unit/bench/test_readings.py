"""What the commands read of other programs' output and of /proc."""

import json
from pathlib import Path

import pytest

from bench.generator import parse_results
from bench.machine import CannotMeasure, check_store, file_system_of, peak_memory
from bench.sizing import name_of
from bench.syncs import parse_perf, parse_strace

LINE = {
    "figure": "image-push", "operations": 20, "at_once": 8, "errors": 0, "first_error": "", "seconds": 0.339,
    "per_second": 59.0, "mb_per_second": 18.1, "p50_ms": 134.0, "p99_ms": 169.9, "server_cpu_seconds": 0.2,
    "server_peak_mb": 174.5,
}  # fmt: skip

MOUNTS = """\
21 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
22 21 0:5 / /dev rw - devtmpfs udev rw,size=1k
23 22 0:20 / /dev/shm rw,nosuid shared:3 - tmpfs tmpfs rw
24 21 0:30 / /srv/with\\040space rw - xfs /dev/vdb rw
25 21 0:31 / /srv/data rw - ext4 /dev/vdc rw
26 21 0:32 / /srv/data rw master:1 - tmpfs none rw
"""


def test_a_line_of_the_generator_is_a_result():
    (result,) = parse_results(json.dumps(LINE) + "\n")
    assert (result.figure, result.per_second) == ("image-push", 59.0)
    assert result.cpu_ms == pytest.approx(10.0)
    assert result.as_dict() == LINE
    assert result.named("pull-10m").figure == "pull-10m"


@pytest.mark.parametrize("line", ["[]", '{"figure": "x"}', json.dumps({**LINE, "more": 1}), "no JSON"])
def test_any_other_line_is_refused(line: str):
    with pytest.raises(ValueError):
        parse_results(line)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/lib", "ext4"),
        ("/dev/shm/x", "tmpfs"),
        ("/dev/shmaller", "devtmpfs"),
        ("/srv/with space/x", "xfs"),
        ("/srv/data/store", "tmpfs"),
        ("/srv/database", "ext4"),
    ],
)
def test_a_path_lies_on_the_deepest_and_latest_mount(path: str, kind: str):
    assert file_system_of(Path(path), MOUNTS) == kind


def test_a_store_in_memory_is_refused():
    shared_memory = Path("/dev/shm")
    if file_system_of(shared_memory, Path("/proc/self/mountinfo").read_text()) != "tmpfs":
        pytest.skip("/dev/shm is no tmpfs here")
    with pytest.raises(CannotMeasure, match="tmpfs"):
        check_store(shared_memory, needed=0)


def test_a_store_without_room_is_refused(tmp_path: Path):
    with pytest.raises(CannotMeasure):
        check_store(tmp_path, needed=1 << 62)


def test_peak_memory_is_read_in_megabytes():
    assert peak_memory("Name:\tx\nVmHWM:\t  100000 kB\nVmRSS:\t 1 kB\n") == pytest.approx(102.4)
    assert peak_memory("Name:\tkthreadd\n") == 0


def test_calls_are_read_from_perf():
    text = (
        "# started on Tue Nov 24 03:00:00 2026\n\n"
        "126,,syscalls:sys_enter_fsync,853027,100.00,,\n"
        "900,,syscalls:sys_enter_fdatasync,853027,100.00,,\n"
        "<not counted>,,syscalls:sys_enter_msync,0,0.00,,\n"
    )
    assert parse_perf(text) == {"fsync": 126, "fdatasync": 900}


def test_calls_are_read_from_strace():
    text = (
        "% time     seconds  usecs/call     calls    errors syscall\n"
        "------ ----------- ----------- --------- --------- ----------------\n"
        " 90.00    0.009000         125        72         1 fdatasync\n"
        " 10.00    0.001000         125         8           fsync\n"
        "------ ----------- ----------- --------- --------- ----------------\n"
        "100.00    0.010000         125        80         1 total\n"
    )
    assert parse_strace(text) == {"fdatasync": 72, "fsync": 8}


@pytest.mark.parametrize(("method", "target", "name"), [
    ("PUT", "/bucket/blobs/ab/cd", "PutObject"),
    ("PUT", "/bucket/key?partNumber=3&uploadId=x", "UploadPart"),
    ("POST", "/bucket/key?uploads", "CreateMultipartUpload"),
    ("POST", "/bucket/key?uploads=", "CreateMultipartUpload"),
    ("POST", "/bucket/key?uploadId=x", "CompleteMultipartUpload"),
    ("POST", "/bucket?delete", "DeleteObjects"),
    ("DELETE", "/bucket/key?uploadId=x", "AbortMultipartUpload"),
    ("DELETE", "/bucket/key", "DeleteObject"),
    ("GET", "/bucket?list-type=2&prefix=", "List"),
    ("GET", "/bucket?uploads&prefix=", "List"),
    ("GET", "/bucket/key?partNumber=1", "GetObject"),
    ("HEAD", "/bucket/key", "HeadObject"),
])  # fmt: skip
def test_a_request_to_a_bucket_is_known_by_its_method_and_query(method: str, target: str, name: str):
    assert name_of(method, target) == name
