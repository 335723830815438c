"""The log of unforeseen errors: what it keeps, and what is said where it cannot be written."""

from pathlib import Path

from thanos_tui.files import state_dir
from thanos_tui.tui import ending, faults


def fault(message: str) -> ZeroDivisionError:
    try:
        raise ZeroDivisionError(message)
    except ZeroDivisionError as error:
        return error


def test_tracebacks_follow_each_other_in_a_private_file(home: Path) -> None:
    path = faults.note(fault("one"))
    assert faults.note(fault("two \udc80")) == path == state_dir() / "app.log"
    said = path.read_text()
    assert said.index("ZeroDivisionError: one") < said.index("ZeroDivisionError: two \\udc80")
    assert said.count("\n--- ") == 1  # the first line, and this
    assert said.count("in fault") == 2
    assert path.stat().st_mode & 0o777 == 0o600


def test_of_a_long_log_the_older_half_goes(home: Path) -> None:
    path = faults.note(fault("one"))
    with path.open("a") as stream:
        stream.writelines(f"line {number}\n" for number in range(200_000))
    before = path.stat().st_size
    faults.note(fault("two"))
    said = path.read_text()
    assert before > 1 << 20
    assert len(said) < 1 << 20
    assert "ZeroDivisionError: one" not in said
    assert said.startswith("line ")
    assert "\nline 199999\n--- " in said


def test_a_crash_is_told_even_where_no_log_can_be_written(home: Path) -> None:
    state_dir().parent.mkdir(parents=True)
    state_dir().write_text("in the way")
    said = ending.log_crash(fault("seven\nand more"))
    assert said.startswith("the app failed (ZeroDivisionError: seven), and its log could not be written: ")
    assert str(state_dir()) in said
