"""`clad bag report` on real bags made up: what it prints, its files, its page, and what it refuses."""

import csv
import json
import re

import pytest
from tiny_session import ABORTED, CONTRACT, RUNNING, TIMEOUT, session, write_bag

from clad.cli.main import main
from clad.report.columns import COLUMNS


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two folders of bags: `a` succeeds but for one and one that was cut off; `b` ran the same and holds a lot."""
    folder = tmp_path_factory.mktemp("runs")
    for seed in range(7):
        write_bag(folder / "a" / f"e{seed}", session(seed=seed, outcome=TIMEOUT if seed == 3 else 2, turn=0.08))
        held = range(1, seed % 3 + 2)
        write_bag(folder / "b" / f"e{seed}", session(seed=seed, mode="free-run", holds=held, turn=0.05))
    write_bag(folder / "a" / "late", session(seed=50, outcome=RUNNING))
    return folder


def run(capsys, *arguments):
    code = main(["bag", "report", *map(str, arguments)])
    return code, capsys.readouterr()


def test_the_terminal(runs, capsys):
    code, told = run(capsys, runs / "a")
    assert code == 0
    assert "libero_10 5  6/7, 49-97 % (1 not counted)" in told.out
    assert len([line for line in told.out.splitlines() if re.match(r"(e\d|late) +5 +3 ", line)]) == 8


def test_conditions_of_a_campaign_are_not_pooled(tmp_path, capsys):
    for name, mode, outcomes in (("hold", "free-run", [2, ABORTED, 2]), ("still", "lockstep", [TIMEOUT, 2])):
        told = {"contract": "libero", "contract_hash": CONTRACT.hash, "condition": name}
        for seed, outcome in enumerate(outcomes):
            write_bag(tmp_path / name / f"e{seed}", session(seed=seed, mode=mode, outcome=outcome), told)
    code, told = run(capsys, tmp_path)
    assert code == 0
    assert re.search(r"^hold: libero_10 5 +2/2, \d+-100 % \(1 not counted\)", told.out, re.MULTILINE)
    assert re.search(r"^still: libero_10 5 +1/2, ", told.out, re.MULTILINE)
    assert "pooled" not in told.out and "more than once" not in told.out and "\nall" not in told.out
    run(capsys, tmp_path, "--out", tmp_path.with_name("page"))
    assert "2 conditions are pooled" in (tmp_path.with_name("page") / "report.html").read_text()
    code, told = run(capsys, tmp_path, "--against", write_one(tmp_path.with_name("other")))
    assert code == 2 and "--against" in told.err and "hold" in told.err
    code, told = run(capsys, tmp_path / "hold", "--against", tmp_path / "still")
    assert code == 0 and "2 episodes are in both" not in told.out and "1 episodes are in both" in told.out


def write_one(folder):
    write_bag(folder / "e0", session(seed=0))
    return folder


def test_files(runs, tmp_path, capsys):
    code, told = run(capsys, runs / "a", "--against", runs / "b", "--out", tmp_path / "out")
    assert code == 0
    body = json.loads((tmp_path / "out" / "report.json").read_text())
    assert [(s["label"], s["total"]["n"], s["total"]["successes"]) for s in body["sets"]] == [("a", 7, 6), ("b", 7, 7)]
    assert body["comparison"]["pairs"] == 7
    assert body["comparison"]["paired"]["only"] == [0, 1]
    held = next(t for t in body["comparison"]["figures"] if t["key"] == "held_s")
    assert held["interval"][1] < 0
    with (tmp_path / "out" / "report.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 15
    assert {column.key for column in COLUMNS if column.key in rows[0]} >= {"steps", "held_s", "observation_age.p50_ms"}
    assert json.loads(rows[8]["hold_s"]) == {"no chunk": 0.05}
    first = body["sets"][0]["recordings"][0]["episodes"][0]
    assert float(rows[0]["latency.total.p50_ms"]) == first["latency"]["total"]["p50_ms"] == 23.0


def test_the_page_is_one_file_that_needs_no_network(runs, tmp_path, capsys):
    run(capsys, runs / "a", "--against", runs / "b", "--out", tmp_path)
    page = (tmp_path / "report.html").read_text()
    outside = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    assert not re.search(r"""(src|href)\s*=|@import|url\(""", outside)
    for title in (
        "Success",
        "Seams",
        "Jerk",
        "Where the time goes",
        "Observation age",
        "Foresight: the scene",
        "Holds",
    ):
        assert f"<h2>{title}</h2>" in page
    plots = [json.loads(body.replace("<\\/", "</")) for body in re.findall(r"const p = (\{.*?\});\n", page)]
    assert len(plots) == 8  # all but the hand, which this robot's proprio does not have
    waterfall = next(p for p in plots if p["layout"].get("barmode") == "group")
    assert [bar["y"][0] for bar in waterfall["data"]] == ["on its way to the planner"] * 2
    assert "These recordings say nothing of: Foresight: the hand." in page


def test_what_is_wrong_with_one_bag_is_said_and_the_others_are_reported(runs, tmp_path, capsys):
    bag = write_bag(tmp_path / "set" / "whole", session())
    broken = write_bag(tmp_path / "set" / "cut", session(seed=1)) / "cut_0.mcap"
    broken.write_bytes(broken.read_bytes()[:5000])
    write_bag(tmp_path / "set" / "unknown", session(), metadata={"contract": "mine.yaml"})
    code, told = run(capsys, tmp_path / "set", "--json", tmp_path / "r.json")
    assert code == 0
    assert "! cut: cut off: the recording breaks off at" in told.out
    assert "! unknown: " in told.out and "Give its --robot FILE" in told.out
    body = json.loads((tmp_path / "r.json").read_text())["sets"][0]
    assert body["total"]["n"] == 1
    assert {r["bag"]: r["whole"] for r in body["recordings"]}[str(bag)] is True


def test_words_from_a_bag_cannot_break_the_page(tmp_path, capsys):
    """An instruction is free text, and so is the reason of a hold."""
    evil = "</script><script>alert(1)</script>"
    stream = [
        (t, k, p, m | {"instruction": evil, "suite": "", "reason": evil} if t == "/episode" else m | {"reason": evil, "source": 2} if t == "/executed_action" else m)
        for t, k, p, m in session()
    ]  # fmt: skip
    write_bag(tmp_path / "bag", stream)
    run(capsys, tmp_path / "bag", "--out", tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text()
    assert "<script>alert" not in page


def test_different_experiments_in_one_set_are_noted(tmp_path, capsys):
    write_bag(tmp_path / "set" / "a", session(seed=1))
    write_bag(tmp_path / "set" / "b", session(seed=1, mode="free-run"))
    told = run(capsys, tmp_path / "set")[1].out
    assert "! 2 values of mode are pooled here: free-run, lockstep" in told
    assert "! 1 episodes are here more than once (suite/task/init/seed): libero_10/5/3/1" in told


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nowhere"], 1, "nowhere does not exist"),
        (["{a}", "--against", "{a}"], 2, "is in both sets"),
        (["{a}", "--robot", "libera"], 2, "Did you mean libero"),
        (["{a}", "--json", ""], 2, "no file's name"),
    ],
)
def test_refusals(runs, capsys, arguments, code, words):
    found, told = run(capsys, *(argument.format(a=runs / "a") for argument in arguments))
    assert found == code
    assert words in told.err
