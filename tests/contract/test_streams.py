from __future__ import annotations

import io
import subprocess
import sys

import pytest

from runner.contract import frame, streams
from runner.contract.errors import OutputLost

TOKEN = "hf_" + "aBcD" * 8


class Terminal(io.TextIOWrapper):
    def isatty(self) -> bool:
        return True


def written(*pieces: str, kind: type[io.TextIOWrapper] = io.TextIOWrapper, encoding: str = "utf-8") -> bytes:
    raw = io.BytesIO()
    output = streams.Output(kind(raw, encoding=encoding), "standard output")
    for piece in pieces:
        output.write(piece)
    output.flush()
    assert output.problem is None
    return raw.getvalue()


def test_a_secret_in_two_pieces_is_masked_as_one() -> None:
    assert written("a ", TOKEN[:9], TOKEN[9:], " b\n") == b"a *** b\n"


def test_control_characters_become_visible() -> None:
    assert written("a\x1b[31mb\u202ec\td\x00\n") == b"a\\x1b[31mb\\u202ec\td\\x00\n"


def test_a_terminal_keeps_the_style_of_headings_and_nothing_else() -> None:
    assert (
        written("\x1b[1;4mverdict\x1b[0m \x1b[8mhidden\n", kind=Terminal) == b"\x1b[1;4mverdict\x1b[0m \\x1b[8mhidden\n"
    )


def test_a_letter_that_the_character_set_lacks_is_written_by_its_number() -> None:
    assert written("ratio … é\n", encoding="latin-1") == b"ratio \\u2026 \xe9\n"


def test_a_path_that_is_no_text_keeps_its_bytes_in_a_pipe_and_is_visible_on_a_terminal() -> None:
    path = b"results/\xff.json".decode("utf-8", "surrogateescape")
    assert written(path + "\n") == b"results/\xff.json\n"
    assert written(path + "\n", kind=Terminal) == b"results/\\udcff.json\n"


def test_a_frame_is_left_as_it_is() -> None:
    lines = frame.write("20260101T000000Z-00000000", TOKEN.encode() * 300)
    assert written("\n".join(lines) + "\n").decode().splitlines() == lines


def test_a_stream_that_takes_nothing_raises_nothing_and_tells_why() -> None:
    class Full(io.RawIOBase):
        def writable(self) -> bool:
            return True

        def write(self, content: object) -> int:
            raise OSError(28, "No space left on device")

    full = io.TextIOWrapper(io.BufferedWriter(Full()))
    for stream, reason in ((None, "Bad file descriptor"), (full, "No space left on device")):
        output = streams.Output(stream, "standard output")
        output.write("a\n")
        output.write("b\n")
        output.flush()
        assert output.problem is not None and output.problem.strerror == reason


@pytest.mark.parametrize(
    ("ending", "reason"),
    [("| true", "Broken pipe"), ("> /dev/full", "No space left on device"), (">&-", "Bad file descriptor")],
)
def test_a_verb_whose_output_is_lost_says_so_with_its_own_exit_code(ending: str, reason: str) -> None:
    # the pipe's reader has gone before anything is printed
    command = f"(sleep 1; {sys.executable} -m runner --help; echo $? >&2) {ending}" if "|" in ending else None
    command = command or f"{sys.executable} -m runner --help {ending}; echo $? >&2"
    done = subprocess.run(["bash", "-c", command], capture_output=True, encoding="utf-8")
    assert f"standard output could not take all that was printed: {reason}." in done.stderr
    assert done.stderr.splitlines()[-1] == str(OutputLost.exit_code)
    assert "Traceback" not in done.stderr
