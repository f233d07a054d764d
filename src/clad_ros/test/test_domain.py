"""A ROS domain of one's own: given or chosen, never shared with another of our graphs."""

from __future__ import annotations

import os

import pytest

from clad.errors import UsageError
from clad_ros.domain import domain_of_graph, own_domain


def test_two_graphs_get_two_domains(monkeypatch):
    monkeypatch.delenv("ROS_DOMAIN_ID", raising=False)
    with own_domain() as first:
        assert os.environ["ROS_DOMAIN_ID"] == str(first)
        monkeypatch.delenv("ROS_DOMAIN_ID")  # as another shell would see it
        with own_domain() as second:
            assert second != first
        os.environ["ROS_DOMAIN_ID"] = str(first)
    assert "ROS_DOMAIN_ID" not in os.environ


def test_a_given_domain_is_kept_and_refused_while_another_graph_has_it(monkeypatch):
    monkeypatch.setenv("ROS_DOMAIN_ID", "199")
    with own_domain() as domain:
        assert domain == 199
        with pytest.raises(UsageError, match="another graph runs in ROS domain 199. Unset ROS_DOMAIN_ID"):
            with own_domain():
                pass
    with own_domain():  # free again
        pass


@pytest.mark.parametrize("given", ["x", "-1", "233"])
def test_what_is_no_domain_is_refused(monkeypatch, given):
    monkeypatch.setenv("ROS_DOMAIN_ID", given)
    with pytest.raises(UsageError, match="Valid: 0 to 232"):
        with own_domain():
            pass


def test_a_running_graph_is_found_in_its_domain(monkeypatch):
    monkeypatch.setenv("ROS_DOMAIN_ID", "198")
    assert domain_of_graph() == 198
    with own_domain():
        monkeypatch.delenv("ROS_DOMAIN_ID")
        monkeypatch.setattr("clad_ros.domain.DOMAINS", range(197, 200))
        assert domain_of_graph() == 198
        monkeypatch.setenv("ROS_DOMAIN_ID", "197")
        with own_domain():
            monkeypatch.delenv("ROS_DOMAIN_ID")
            with pytest.raises(UsageError, match="graphs run in the ROS domains 197, 198. Set ROS_DOMAIN_ID"):
                domain_of_graph()
    assert domain_of_graph() == 0
