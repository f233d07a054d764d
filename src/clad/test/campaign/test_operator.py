"""The operator's answers, at a terminal of the kernel's own."""

from __future__ import annotations

import os
import pty
import time

import pytest

from clad.campaign.operator import GO, QUIT, SKIP, Operator, outcome_answer, reset_answer
from clad.errors import CladError, UsageError


@pytest.fixture
def terminal():
    """(what a person types into, the operator)."""
    master, slave = pty.openpty()
    stream = os.fdopen(slave, "r")
    yield master, Operator(stream)
    stream.close()
    try:
        os.close(master)
    except OSError:  # a test has closed it
        pass


def heard(operator: Operator) -> str:
    deadline = time.monotonic() + 5.0
    while (line := operator.line()) is None:
        assert time.monotonic() < deadline, "nothing was heard"
    return line


def test_what_the_answers_mean():
    assert [reset_answer(line) for line in ("", " S ", "q", "y")] == [GO, SKIP, QUIT, None]
    assert outcome_answer("y") == ("success", "")
    assert outcome_answer("n it slipped ") == ("timeout", "it slipped")
    assert outcome_answer("A") == ("aborted", "aborted by the operator")
    assert [outcome_answer(line) for line in ("", "yes", "no", "q")] == [None] * 4


def test_lines_are_heard_one_by_one_and_never_waited_for(terminal):
    master, operator = terminal
    assert operator.line() is None
    os.write(master, b"y\nn it slipped\nhal")
    assert [heard(operator), heard(operator)] == ["y", "n it slipped"]
    assert operator.line() is None
    os.write(master, b"f\n")
    assert heard(operator) == "half"


def test_what_was_typed_before_the_question_answers_nothing(terminal, capsys):
    master, operator = terminal
    os.write(master, b"\n\n")
    assert heard(operator) == ""  # the other one waits, in the operator or in the kernel
    operator.ask("ready?")
    assert operator.line() is None and "ready?" in capsys.readouterr().err


def test_without_a_terminal_nothing_begins(tmp_path):
    with (tmp_path / "file").open("w+") as stream, pytest.raises(UsageError, match="no terminal to ask at"):
        Operator(stream)


def test_a_terminal_that_is_closed_is_told(terminal):
    master, operator = terminal
    os.close(master)
    with pytest.raises(CladError, match="terminal was closed"):
        heard(operator)
