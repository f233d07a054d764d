"""Policy node: latent foresight in, a chunk of actions out. The work is in clad.runtime.policy."""

from __future__ import annotations

import sys
import threading

from clad.contract import load_contract
from clad.errors import CladError, UsageError, unknown_name
from clad.runtime.bundle import load_bundle
from clad.runtime.execution import STRATEGIES, ChunkStamps, Continuation, LatencyModel
from clad.runtime.policy import Policy
from clad_interfaces.msg import ActionChunk, ExecutedAction, LatentForesight
from clad_ros import topics
from clad_ros.convert import chunk_to_message, foresight_from_message
from clad_ros.node import CladNode, run_node
from clad_ros.stamps import control_period_ns, to_ns
from clad_ros.worker import Worker


class PolicyNode(CladNode):
    """One chunk per foresight; where foresights come faster than chunks can be made, the newest wins.

    Execution rtc: a chunk also continues the one published before it (docs/decisions/0008).
    """

    def __init__(self) -> None:
        super().__init__("policy")
        self.setting(
            "model",
            "",
            "the planner's model bundle: a directory, or a name in models/; empty: the first there that sees",
        )
        self.setting("contract", "libero", "the robot: a shipped contract's name or a YAML file")
        self.setting("provider", "cpu", "what computes: cpu, cuda, tensorrt (ONNX Runtime), torch, torch-cuda")
        self.setting("precision", "fp32", "of the policy's networks: fp32, int8, fp16, where the model has them")
        self.setting("fused", False, "sample in one run of the fused sampler, where the model has it")
        self.setting("sample_steps", 0, "sampling steps of a chunk; 0: as many as the model says")
        self.setting(
            "warm_start", False, "sample from the chunk before, in half the steps, while some of it is to come"
        )
        self.setting("threads", 1, "CPU threads for inference")
        self.setting("execution", "hold", "how the driver joins chunks; rtc alone changes how they are made")
        self._worker: Worker | None = None

    def configure(self) -> None:
        execution = self.value("execution")
        if execution not in STRATEGIES:
            raise unknown_name("execution", execution, STRATEGIES)
        if execution == "rtc" and self.value("fused"):
            raise UsageError("a fused sampler cannot continue a chunk", "Leave out fused, or execution rtc")
        self._contract = load_contract(self.value("contract"))
        self._bundle = load_bundle(self.value("model"))
        self._policy = Policy(
            self._bundle,
            self._contract,
            provider=self.value("provider"),
            threads=self.value("threads"),
            precision=self.value("precision"),
            fused=self.value("fused"),
            sample_steps=self.value("sample_steps"),
            warm_start=self.value("warm_start"),
        )
        self._policy.warm_up()
        self._seq = 0
        self._latency = LatencyModel()
        self._stamps = ChunkStamps(self._latency)
        self._continuation = Continuation(control_period_ns(self._contract), self._latency)
        self._continues = execution == "rtc"
        self._lock = threading.Lock()  # around the four above: two threads use them
        self._worker = Worker(self._act, self._failed)
        self._publisher = self.create_lifecycle_publisher(ActionChunk, topics.ACTION_CHUNK, topics.COMMANDING_QOS)
        self._inputs = [
            self.create_subscription(
                LatentForesight, topics.LATENT_FORESIGHT, self._on_foresight, topics.INFERENCE_QOS
            ),
            self.create_subscription(ExecutedAction, topics.EXECUTED_ACTION, self._on_executed, topics.ACTION_QOS),
        ]
        self.diagnostics.set(
            model=self._bundle.id,
            provider=self.value("provider"),
            precision=self.value("precision"),
            fused=self.value("fused"),
            sample_steps=self.value("sample_steps") or self._bundle.diffusion.sample_steps,
            warm_start=self.value("warm_start"),
            foresights_dropped=0,
        )

    def release(self) -> None:
        if self._worker is not None:
            self._worker.close()
            self._worker = None
            for subscription in self._inputs:
                self.destroy_subscription(subscription)
            self.destroy_lifecycle_publisher(self._publisher)

    def _on_foresight(self, message: LatentForesight) -> None:
        if not self.active:
            return
        if message.model_id != self._bundle.id:
            self.diagnostics.error(
                f"no chunk: the foresight is of model {message.model_id}, this policy is {self._bundle.id}; "
                "start planner and policy with the same model"
            )
            return
        if not self._worker.submit((message, self._now())):
            self.diagnostics.set(foresights_dropped=self._worker.replaced)

    def _on_executed(self, message: ExecutedAction) -> None:
        """What acts, and since when: the latency up to there is known by nobody else."""
        with self._lock:
            self._stamps.executed(message.chunk_seq, to_ns(message.header.stamp))

    def _act(self, job: tuple[LatentForesight, int]) -> None:
        message, arrived = job
        with self._lock:
            committed = self._continuation.committed(message.episode, message.step) if self._continues else None
            previous = self._continuation.previous(message.episode, message.step)
        chunk = self._policy.act(foresight_from_message(message), committed, previous)
        self._seq += 1
        captured = to_ns(message.header.stamp)
        with self._lock:  # before anybody can execute it
            self._stamps.published(self._seq, captured=captured, arrived=arrived, now=self._now())
            self._continuation.made(message.episode, chunk)
        self._publisher.publish(
            chunk_to_message(chunk, message, seq=self._seq, model_id=self._bundle.id, contract=self._contract)
        )
        with self._lock:
            latency = self._latency.values()
        self.diagnostics.ok(
            "acting",
            policy_latency_ms=f"{chunk.policy_latency * 1e3:.2f}",
            chunks=self._seq,
            frozen_steps=committed.frozen if committed else 0,
            queue_age_ms=self._worker.queue_age_ms,
            **latency,
        )

    def _now(self) -> int:
        """ROS time, ns: the clock that observations are stamped with."""
        return self.get_clock().now().nanoseconds

    def _failed(self, error: Exception) -> None:
        text = str(error) if isinstance(error, CladError) else f"internal error: {error!r}"
        self.diagnostics.error(f"no chunk: {text}")


def main() -> None:
    sys.exit(run_node(PolicyNode))
