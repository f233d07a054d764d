"""`clad campaign FILE`: episodes under many conditions through the ROS graph, each with its bag; goes on where it stopped."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from clad.cli.outputs import make_writable

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
    from clad.campaign.disk import require_room
    from clad.campaign.manifest import Manifest, only_one
    from clad.campaign.operator import Operator
    from clad.campaign.schema import read_campaign
    from clad.cli.running import ros_or_refuse

    campaign = read_campaign(Path(args.file))
    operator = Operator() if campaign.asks and not args.dry_run else None
    contract, bundles = _robot_and_models(campaign)
    suite, plan = _plan(campaign, contract, bundles)
    out = Path(args.out or f"runs/campaign-{campaign.name}").absolute()
    manifest = Manifest.resume(out, _shared_settings(campaign, suite, contract))
    for condition in plan.conditions.values():
        manifest.begin(condition, {"model_sha256": bundles[condition.model].sha256})
    sizes = {item: _bytes(campaign, contract, bundles, plan, item) for item in plan.items if not manifest.has(item)}
    _describe(plan, sizes, out)
    require_room(out, sizes.values())
    if args.dry_run:
        return 0
    ros_or_refuse()
    make_writable(out, "--out")
    with only_one(out):
        return _run_all(campaign, contract, bundles, suite, plan, manifest, operator)


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


def _plan(campaign: Campaign, contract: RobotContract, bundles: dict[str, ModelBundle]) -> tuple[str, Plan]:
    """The suite, and what is to be run."""
    from clad.campaign.plan import make_plan
    from clad.cli.options import ALL
    from clad.runtime.catalogue import trained_task
    from clad.sim.suites import n_tasks, task_info

    models = {name: bundle.name for name, bundle in bundles.items()}
    if not campaign.simulated:
        return contract.name, make_plan(campaign, suite=contract.name, tasks=(0,), n_states=None, models=models)
    suite, trained = trained_task(next(iter(bundles.values())).path, campaign.suite)
    tasks = range(n_tasks(suite)) if campaign.task == ALL else campaign.task or (trained,)
    states = {task: task_info(suite, task).n_init_states for task in tasks}
    return suite, make_plan(campaign, suite=suite, tasks=tasks, n_states=states, models=models)


def _shared_settings(campaign: Campaign, suite: str, contract: RobotContract) -> dict:
    names = ("name", "robot", "instruction", "max_steps", "reset", "outcome", "provider", "precision", "fused")
    more = {name: getattr(campaign, name) for name in (*names, "sample_steps", "warm_start")}
    return {**more, "suite": suite, "contract": contract.name, "contract_hash": contract.hash}


def _bytes(campaign: Campaign, contract: RobotContract, bundles: dict, plan: Plan, item: Item) -> int:
    from clad.campaign.disk import episode_bytes
    from clad.sim.suites import SUITES

    condition = plan.conditions[item.condition]
    steps = campaign.max_steps or (SUITES[item.spec.suite] if campaign.simulated else ROBOT_STEPS)
    every = bundles[condition.model].execute_steps if condition.mode == "lockstep" else 1
    return episode_bytes(contract, steps=steps, every=every)


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


def _run_all(campaign, contract, bundles, suite: str, plan: Plan, manifest: Manifest, operator) -> int:
    from tqdm import tqdm

    from clad.campaign.manifest import results_folder
    from clad.campaign.report import summary
    from clad.cli.running import ros_module

    ros = ros_module("clad_recorder.campaign")
    out, code = manifest.path.parent, 0
    places = {(item.condition, item.repeat): results_folder(out, item.condition, item.repeat) for item in plan.items}
    settings = {name: _settings(campaign, contract, bundles, plan.conditions[name]) for name in plan.conditions}
    for (name, repeat), folder in places.items():
        ros.close_interrupted(manifest, name, repeat, folder)
    done = sum(map(manifest.has, plan.items))
    try:
        with tqdm(
            total=len(plan.items), initial=done, unit="episode", smoothing=0, disable=operator is not None
        ) as bar:

            def told(entry: Entry) -> None:
                folder = places[entry.condition, entry.repeat]
                ros.write_result(manifest, settings[entry.condition], entry.condition, entry.repeat, folder)
                bar.set_postfix_str(f"{entry.condition}: {entry.outcome}")
                bar.update(entry.counts)
                if operator is not None:
                    print(f"{entry.outcome}{entry.reason and ': '}{entry.reason}", file=sys.stderr, flush=True)

            for name, condition in plan.conditions.items():
                todo = [item for item in plan.of(name) if not manifest.has(item)]
                if todo:
                    _run_condition(campaign, bundles, suite, condition, settings[name], todo, manifest, operator, told)
    except ros.Stopped:
        code = 130
    except KeyboardInterrupt:
        code = 130
        print("clad: interrupted; the same command goes on", file=sys.stderr)
    for (name, repeat), folder in places.items():  # also of what an earlier run had no time to write
        ros.write_result(manifest, settings[name], name, repeat, folder)
    print(summary(plan, manifest))
    print(manifest.path)
    return code


def _run_condition(campaign, bundles, suite, condition: Condition, settings, todo, manifest, operator, told) -> None:
    """The condition's graph from start to end."""
    from clad.campaign.schema import OPERATOR
    from clad.cli.running import ros_module, ros_or_refuse
    from clad.errors import CladError, UsageError
    from clad.study import delay as study

    ros, delayed, episodes = ros_or_refuse(), ros_module("clad_bringup.delayed"), ros_module("clad_recorder.campaign")
    late = study.Condition(execution=condition.execution, delay_ms=condition.delay_ms)
    arguments = _graph_arguments(campaign, bundles[condition.model], suite, condition, todo[0], manifest.path.parent)
    graph = (ros.sim_graph if campaign.simulated else ros.robot_graph)(arguments)
    graph = [spec for spec in graph if not spec.ends_graph]
    graph = delayed.relayed(graph) if late.delay_ms else graph

    def work(conductor) -> None:
        relay = delayed.LateRelay(conductor, simulated=campaign.simulated) if late.delay_ms else None
        runner = episodes.Episodes(
            conductor,
            settings,
            manifest,
            name=campaign.name,
            before=lambda seed: relay and relay.begin(study.Injected(late, seed)),
            operator=operator,
            resets=campaign.reset == OPERATOR,
            judges=campaign.outcome == OPERATOR,
        )
        conductor.wait_active([spec.name for spec in graph if spec.name != "manager"])
        runner.run(todo, told)

    log = manifest.path.parent / "nodes.log"
    with ros.own_domain(), ros.Console(log, "nobody") as show:
        try:
            ros_module("clad_bringup.conductor").conduct(graph, work, show=show)
        except UsageError:
            raise
        except CladError as error:
            raise CladError(str(error), f"All that the nodes said is in {log}") from error


def _graph_arguments(campaign: Campaign, bundle, suite: str, condition: Condition, first: Item, out: Path) -> dict:
    names = ("provider", "precision", "fused", "sample_steps", "warm_start", "threads")
    values = {name: getattr(campaign, name) for name in names}
    values |= {"model": bundle.path, "execution": condition.execution, "out": out, "seed": first.spec.seed}
    if campaign.simulated:
        values |= {"suite": suite, "task": first.spec.task, "protocol": condition.protocol, "mode": condition.mode}
        values |= {"visuals": condition.visuals, "max_steps": campaign.max_steps}
    else:
        values |= {"robot": campaign.robot, "instruction": _instruction(campaign, bundle)}
        values |= {"max_steps": campaign.max_steps or ROBOT_STEPS}
    return {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in values.items()}


def _settings(campaign: Campaign, contract: RobotContract, bundles: dict[str, ModelBundle], condition: Condition):
    from clad.cli.running import ros_module

    bundle = bundles[condition.model]
    taken = ("precision", "fused", "sample_steps", "warm_start")
    return ros_module("clad_recorder.settings").Settings(
        contract=contract,
        bundle=bundle,
        bridge="sim_bridge" if campaign.simulated else "robot_bridge",
        protocol=condition.protocol,
        mode=condition.mode,
        visuals=condition.visuals,
        execution=condition.execution,
        delay_ms=condition.delay_ms,
        max_steps=campaign.max_steps if campaign.simulated else campaign.max_steps or ROBOT_STEPS,
        instruction="" if campaign.simulated else _instruction(campaign, bundle),
        inference_rate=25.0,
        camera_rate=0.0,
        real_time_factor=1.0,
        **{name: getattr(campaign, name) for name in taken},
    )


def _instruction(campaign: Campaign, bundle: ModelBundle) -> str:
    return campaign.instruction or bundle.tasks[0].instruction
