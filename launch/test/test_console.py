"""What a terminal shows of a graph, and what only the log keeps."""

from __future__ import annotations

from clad_bringup.console import Console


def test_the_speaker_is_plain_others_are_named_and_the_log_has_everything(tmp_path, capsys):
    log = tmp_path / "nodes.log"
    lines = [
        ("policy", "[WARN] [1700000000.5] [policy]: refused"),  # its last words are the command's, not ours
        ("policy", "policy: refused"),
        ("sim_bridge", "[INFO] [1700000000.6] [sim_bridge]: GL back-end egl"),
        ("episode_runner", "suite  task"),
        ("policy", "[WARN] [1700000000.7] [policy]: late"),
        ("episode_runner", "episode_runner: no disk"),
    ]
    with Console(log, "episode_runner") as show:
        for node, line in lines:
            show(node, line)
    shown = capsys.readouterr()
    assert shown.out == "suite  task\n"
    assert shown.err == "[sim_bridge] GL back-end egl\n[policy] warn: late\n"
    assert log.read_text() == "".join(f"[{node}] {line}\n" for node, line in lines)
