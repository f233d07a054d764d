"""`clad campaign FILE`: episodes under many conditions through the ROS graph, each with its bag; goes on where it stopped."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from clad.cli.outputs import make_writable
from clad.cli.running import ros_module

if TYPE_CHECKING:
    from clad.campaign.manifest import Entry, Manifest
    from clad.campaign.plan import Condition, Item, Plan
    from clad.campaign.schema import Campaign
    from clad.contract import RobotContract
    from clad.runtime.bundle import ModelBundle

HELP = "many episodes from a YAML file: models, tasks, scenes, execution, delays; in LIBERO or on an arm"
EXAMPLES = """\
  clad campaign launch/config/campaigns/delay.yaml --dry-run     what would be run, and the disk it takes
  clad campaign launch/config/campaigns/delay.yaml               run it; the same command goes on after any interruption
  clad campaign mine.yaml --out runs/tuesday                     an arm, with somebody beside it (reset and outcome: operator)
  clad eval table runs/campaign-delay/*                          its conditions beside each other, by task

the file, all keys but one optional (docs/campaigns.md):
  robot: sim                    # or fake, loopback, ur, franka, a contract's YAML file
  model: clad-libero10-book     # each of these takes one value or a list, and is combined with all the others:
  task: 5                       # model, task, init, seed, protocol, visuals, mode, execution, delay_ms
  init: 0-9
  mode: free-run
  execution: [hold, rtc]
  delay_ms: [0, 100, 200]
"""
ROBOT_STEPS = 600  # control steps of an arm's episode where the file does not say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="the campaign, in YAML")
    parser.add_argument("--out", metavar="DIR", help="where it goes, or goes on (default: runs/campaign-NAME)")
    parser.add_argument("--dry-run", action="store_true", help="say what would be run, and start nothing")


def run(args: argparse.Namespace) -> int:
    from clad.campaign.manifest import only_one
    from clad.campaign.operator import Operator
    from clad.campaign.schema import read_campaign

    campaign = read_campaign(Path(args.file))
    operator = Operator() if campaign.asks and not args.dry_run else None
    contract, bundles = _robot_and_models(campaign)
    plan = _plan(campaign, contract, bundles)
    out = Path(args.out or f"runs/campaign-{campaign.name}").absolute()
    if args.dry_run:
        _prepare(campaign, contract, bundles, plan, out)
        return 0
    ros = ros_module("clad_bringup.campaign")
    make_writable(out, "--out")
    with only_one(out):
        manifest, limit, room = _prepare(campaign, contract, bundles, plan, out)
        campaigner = ros.Campaigner(
            campaign=campaign,
            contract=contract,
            bundles=bundles,
            plan=plan,
            manifest=manifest,
            max_steps=limit,
            room=room,
            operator=operator,
        )
        return _run_all(campaigner, plan, manifest, quiet=operator is not None)


def _robot_and_models(campaign: Campaign) -> tuple[RobotContract, dict[str, ModelBundle]]:
    from clad.contract import load_contract
    from clad.runtime.bundle import load_bundle
    from clad.runtime.catalogue import find_bundle

    contract = load_contract({"sim": "libero", "loopback": "fake"}.get(campaign.robot, campaign.robot))
    named = [*campaign.model, *(entry["model"] for entry in campaign.include if "model" in entry)]
    bundles = {name: load_bundle(find_bundle(name, contract.name)) for name in named}
    for bundle in bundles.values():
        bundle.require_contract(contract)
    return contract, bundles


def _plan(campaign: Campaign, contract: RobotContract, bundles: dict[str, ModelBundle]) -> Plan:
    from clad.campaign.plan import make_plan
    from clad.cli.options import ALL
    from clad.runtime.catalogue import trained_task
    from clad.sim.suites import n_tasks, task_info

    models = {name: bundle.name for name, bundle in bundles.items()}
    if not campaign.simulated:
        return make_plan(campaign, suite=contract.name, tasks=(0,), n_states=None, models=models)
    suite, trained = trained_task(next(iter(bundles.values())).path, campaign.suite)
    tasks = range(n_tasks(suite)) if campaign.task == ALL else campaign.task or (trained,)
    states = {task: task_info(suite, task).n_init_states for task in tasks}
    return make_plan(campaign, suite=suite, tasks=tasks, n_states=states, models=models)


def _prepare(
    campaign: Campaign, contract: RobotContract, bundles: dict[str, ModelBundle], plan: Plan, out: Path
) -> tuple[Manifest, int, Callable[[Condition], int]]:
    """What has been done; an episode's step limit; and the bytes that one may take under a condition.

    Tells the plan. Raises UsageError when the folder is another campaign's, CladError when what is to come does not fit.
    """
    from clad.campaign.disk import episode_bytes, require_room
    from clad.campaign.manifest import Manifest
    from clad.sim.suites import SUITES

    suite = plan.items[0].spec.suite
    names = ("name", "robot", "instruction", "reset", "outcome", "provider", "precision", "fused", "sample_steps")
    limit = campaign.max_steps or (SUITES[suite] if campaign.simulated else ROBOT_STEPS)
    settings = {name: getattr(campaign, name) for name in (*names, "warm_start")}
    settings |= {"suite": suite, "max_steps": limit, "contract": contract.name, "contract_hash": contract.hash}
    manifest = Manifest.resume(out, settings)
    for condition in plan.conditions.values():
        manifest.begin(condition, {"model_sha256": bundles[condition.model].sha256})

    def room(condition: Condition) -> int:
        return episode_bytes(
            contract,
            steps=limit,
            every=bundles[condition.model].execute_steps if condition.mode == "lockstep" else 1,
            simulated=campaign.simulated,
            before=manifest.counted(condition.name),
        )

    sizes = {name: room(condition) for name, condition in plan.conditions.items()}
    sizes = {item: sizes[item.condition] for item in plan.items if not manifest.has(item)}
    _describe(plan, sizes, out)
    require_room(out, sizes.values())
    return manifest, limit, room


def _describe(plan: Plan, sizes: dict[Item, int], out: Path) -> None:
    """The plan, on stderr. sizes: bytes of the episodes that are not done."""
    from clad.campaign.disk import free_bytes

    done = len(plan.items) - len(sizes)
    lines = [f"{len(plan.conditions)} conditions, {len(plan.items)} episodes, {done} done; a graph for each condition"]
    for name in plan.conditions:
        items = plan.of(name)
        left = [sizes[item] for item in items if item in sizes]
        size = f", bags up to {max(left) / 1e6:.0f} MB each" if left else ""
        lines.append(f"  {name}: {len(items)} episodes, {len(items) - len(left)} done{size}")
    lines.append(f"{out}: at most {sum(sizes.values()) / 1e9:.2f} GB to come, {free_bytes(out) / 1e9:.1f} GB free")
    print("\n".join(lines), file=sys.stderr)


def _run_all(campaigner, plan: Plan, manifest: Manifest, *, quiet: bool) -> int:
    """Every condition in turn, and the summary; the exit code. quiet: no progress bar between questions to an operator."""
    from tqdm import tqdm

    from clad.campaign.report import summary

    campaigner.close_interrupted()
    done, code = sum(map(manifest.has, plan.items)), 0
    try:
        with tqdm(total=len(plan.items), initial=done, unit="episode", smoothing=0, disable=quiet) as progress:

            def told(entry: Entry) -> None:
                progress.set_postfix_str(f"{entry.condition}: {entry.outcome}")
                progress.update(entry.counts)
                if quiet:
                    print(": ".join(filter(None, [entry.outcome, entry.reason])), file=sys.stderr, flush=True)

            for name, condition in plan.conditions.items():
                if todo := [item for item in plan.of(name) if not manifest.has(item)]:
                    campaigner.run(condition, todo, told)
    except ros_module("clad_recorder.campaign").Stopped:
        code = 130
    except KeyboardInterrupt:
        print("clad: interrupted; the same command goes on", file=sys.stderr)
        code = 130
    campaigner.write_results()  # also of what a killed run had no time to write
    print(f"{summary(plan, manifest)}\n{manifest.path}")
    return code
