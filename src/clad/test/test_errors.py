"""What a user reads when something is wrong."""

import copy

from clad.errors import CladError, UsageError, unknown_name


def test_the_message_is_one_line_with_the_remedy():
    assert str(CladError("the disk is full", "Free some space")) == "the disk is full. Free some space"
    assert str(CladError("the disk is full")) == "the disk is full"


def test_exit_codes():
    assert CladError("x").exit_code == 1 and UsageError("x").exit_code == 2
    assert isinstance(UsageError("x"), CladError)


def test_an_unknown_name_lists_near_ones_first_then_all():
    error = unknown_name("suite", "libero_01", ["libero_object", "libero_10", "libero_goal"])
    assert isinstance(error, UsageError)
    assert str(error).startswith("unknown suite 'libero_01'. Did you mean libero_10")
    assert str(error).endswith("Valid: libero_10, libero_goal, libero_object")
    assert str(unknown_name("model", "x", [])) == "unknown model 'x'. Valid: none"


def test_errors_cross_process_borders_whole():
    """Workers of `clad eval` hand them to the parent, rebuilt by the same protocol as a copy."""
    error = copy.copy(UsageError("what", "do this"))
    assert str(error) == "what. do this" and error.exit_code == 2
