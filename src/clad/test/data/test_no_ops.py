"""Which steps of a demonstration count as doing nothing."""

import numpy as np

from clad.data.no_ops import no_ops


def test_standing_still_is_a_no_op_and_waiting_for_the_fingers_is_not():
    expert = np.zeros((8, 7))
    expert[:, 6] = [-1, -1, 1, 1, 1, 1, 1, 1]  # closes at step 2
    expert[6, 0] = 0.5  # moves
    fingers = np.repeat([[0.04], [0.04], [0.04], [0.03], [0.02], [0.02], [0.02], [0.02]], 2, axis=1)
    #           first: no command before it; 2: a new command; 3: the fingers move; 6: the hand does
    assert no_ops(expert, fingers).tolist() == [False, True, False, False, True, True, False, True]


def test_one_step_is_never_a_no_op():
    assert no_ops(np.zeros((1, 7)), np.zeros((1, 2))).tolist() == [False]
