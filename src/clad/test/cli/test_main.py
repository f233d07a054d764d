"""The dispatcher: what a user sees and the exit codes that scripts rely on."""

from __future__ import annotations

import argparse
import subprocess
import sys
import types

import pytest

from clad.cli import main as cli
from clad.cli import options
from clad.errors import CladError, UsageError


@pytest.fixture
def command(monkeypatch):
    """Install a command whose `run` is the given function; returns the exit code of `clad probe …`."""

    def install(run, arguments=(), **attributes):
        module = types.ModuleType("clad.cli.probe")
        module.HELP = "probe the dispatcher"
        module.EXAMPLES = "  clad probe --task 3"
        module.add_arguments = lambda parser: options.add(parser, "task", "seed")
        module.run = run
        vars(module).update(attributes)
        module.__spec__ = types.SimpleNamespace(name=module.__name__)
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setitem(cli.COMMANDS, "probe", module.__name__)
        return cli.main(["probe", *arguments])

    return install


def _raise(error):
    def run(args):
        raise error

    return run


def test_help_lists_every_command_that_exists_and_no_other(monkeypatch, capsys):
    monkeypatch.setitem(cli.COMMANDS, "absent", "clad.cli.absent")
    assert cli.main([]) == 0
    text = capsys.readouterr().out
    assert "\n  doctor " in text and "\n  test " in text and "absent" not in text
    assert "examples:" in text and "exit codes:" in text


@pytest.mark.parametrize("name", [name for name in cli.COMMANDS if name in cli.available()])
def test_every_command_explains_all_its_options(name, capsys):
    assert cli.main([name, "--help"]) == 0
    assert f"usage: clad {name}" in capsys.readouterr().out
    parser = argparse.ArgumentParser()
    cli.module_of(name).add_arguments(parser)
    assert [a.option_strings for a in parser._actions if not a.help and a.option_strings] == []


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from clad.cli.main import main; main(['--help']);"
        "print(*({'torch', 'onnxruntime', 'libero', 'rclpy', 'cv2'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr.strip() == ""


def test_a_commands_examples_close_its_help(command, capsys):
    assert command(None, ["--help"]) == 0
    assert capsys.readouterr().out.rstrip().endswith("clad probe --task 3")


def test_unknown_command_is_bad_usage_and_names_the_nearest(capsys):
    assert cli.main(["docter"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "Did you mean doctor?" in error


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (CladError("the arm is\noff", "Switch it on"), 1, "clad: the arm is off. Switch it on\n"),
        (UsageError("no such arm"), 2, "clad: no such arm\n"),
        (KeyboardInterrupt(), 130, "clad: interrupted\n"),
        (PermissionError(13, "Permission denied", "runs"), 1, "clad: [Errno 13] Permission denied: 'runs'\n"),
    ],
)
def test_errors_become_one_line_and_a_code(command, capsys, error, code, text):
    assert command(_raise(error)) == code
    assert capsys.readouterr().err == text


def test_a_fault_of_our_own_keeps_its_traceback(command, capsys):
    assert command(_raise(ZeroDivisionError("x"))) == 1
    error = capsys.readouterr().err
    assert "Traceback" in error and error.splitlines()[-1].startswith(
        "clad: fault in clad itself (ZeroDivisionError: x)"
    )


def test_run_gets_the_arguments_and_its_code_is_returned(command):
    seen = []
    assert command(lambda args: seen.append((args.task, args.seed)) or 0, ["--task", "3"]) == 0
    assert seen == [(3, 0)]


def test_a_command_may_pass_unknown_arguments_on(command):
    seen = []
    assert command(lambda args: seen.append(args.rest) or 0, ["x", "--task", "1", "-k", "y"], PASS_THROUGH=True) == 0
    assert seen == [["x", "-k", "y"]]


@pytest.mark.parametrize("arguments", [["--task", "-1"], ["--task", "x"], ["--tas", "1"], ["--nope"]])
def test_bad_arguments_exit_2(command, arguments, capsys):
    assert command(lambda args: 0, arguments) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and error.endswith(". See clad probe --help\n")


def test_shared_options_can_be_changed_but_not_misspelled():
    parser = argparse.ArgumentParser()
    options.add(parser, "episodes", "max-steps", episodes={"default": 50})
    assert vars(parser.parse_args([])) == {"episodes": 50, "max_steps": 0}
    with pytest.raises(KeyError):
        options.add(argparse.ArgumentParser(), "task", tusk={"default": 1})


def test_the_contract_that_users_script_against():
    """Option names and defaults are public: changing one is a breaking change and belongs in the changelog."""
    parser = argparse.ArgumentParser()
    options.add(parser, *options.OPTIONS)
    values = vars(parser.parse_args([]))
    assert {
        "suite",
        "task",
        "init",
        "episodes",
        "seed",
        "protocol",
        "mode",
        "visuals",
        "model",
        "out",
        "json",
        "resume",
    } <= set(values)
    assert (values["protocol"], values["mode"], values["visuals"]) == ("exact", "lockstep", "full")
    for choice, valid in (("protocol", "exact classic"), ("mode", "lockstep free-run"), ("visuals", "full fast")):
        assert options.OPTIONS[choice]["choices"] == tuple(valid.split())
