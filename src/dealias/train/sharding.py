# SPDX-License-Identifier: Apache-2.0
"""Training whose weights, gradients and optimiser states are shared out to the processes (FSDP2), on GPUs and CPUs."""

from typing import Any

from lightning.pytorch.strategies import ModelParallelStrategy
from torch import distributed, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method
from torch.optim import Optimizer


class FullySharded(ModelParallelStrategy):
    """Lightning strategy of ``--trainer.strategy fsdp``.

    In training, a process has whole weights of one part of the network (encoder, decoder, ...) at a time, while that
    part computes; otherwise it has all. What is shared out are the weights at rest, gradients and optimiser states.
    Checkpoints are whole and the same as without sharding: either kind of run goes on from the other's. All processes
    validate with the statistics of batch norms that are saved, those of the first one.
    """

    def __init__(self) -> None:
        super().__init__(tensor_parallel_size=1, save_distributed_checkpoint=False)

    def setup_environment(self) -> None:
        """Share the weights out to all processes of all nodes."""
        self._data_parallel_size = self.num_processes * self.num_nodes
        super().setup_environment()

    def shard(self, network: nn.Module, methods: tuple[str, ...]) -> None:
        """Share out the weights of a network, once.

        Args:
            network: what its children do is asked of them by calling them.
            methods: those of the network, besides ``forward``, that compute with its weights.
        """
        if isinstance(network, FSDPModule):
            return
        if self._layer_sync is not None:
            self._layer_sync.apply(network)
        mesh: Any = self.device_mesh["data_parallel"]
        for part in network.children():
            if any(True for _ in part.parameters()):
                fully_shard(part, mesh=mesh)
        fully_shard(network, mesh=mesh)
        for method in methods:
            register_fsdp_forward_method(network, method)

    def on_validation_start(self) -> None:
        """Gather the weights, and take the statistics of batch norms from the first process, which saves them."""
        self._gather()
        for buffer in self._network.buffers():
            distributed.broadcast(buffer, 0)

    def on_test_start(self) -> None:
        """Gather the weights."""
        self._gather()

    def on_predict_start(self) -> None:
        """Gather the weights."""
        self._gather()

    def on_validation_end(self) -> None:
        """Share the weights out again."""
        self._scatter()

    def lightning_module_state_dict(self) -> dict[str, Any]:
        """The whole weights in the first process, nothing in the others."""
        self._scatter()  # a validation may be about to end
        return super().lightning_module_state_dict()

    def load_checkpoint(self, checkpoint_path: Any, weights_only: bool | None = None) -> dict[str, Any]:
        """Read a whole checkpoint, and take each process's share of its weights and optimiser states."""
        checkpoint = self.checkpoint_io.load_checkpoint(checkpoint_path, map_location="cpu")
        model: Any = self.model
        whole = StateDictOptions(full_state_dict=True)
        set_model_state_dict(model, checkpoint["state_dict"], options=whole)
        for optimizer, state in zip(self.optimizers, checkpoint["optimizer_states"], strict=False):
            set_optimizer_state_dict(model, optimizer, _by_name(state, optimizer, model), options=whole)
        return checkpoint

    @property
    def _network(self) -> Any:
        task: Any = self.lightning_module
        return task.network

    def _gather(self) -> None:
        """Processes have different numbers of images, but can gather weights only all at once."""
        for part in _sharded(self._network):
            part.set_reshard_after_forward(False, recurse=False)
            part.unshard()

    def _scatter(self) -> None:
        for part in _sharded(self._network):
            part.set_reshard_after_forward(part is not self._network, recurse=False)
            part.reshard()


def _sharded(network: nn.Module) -> list[FSDPModule]:
    return [part for part in network.modules() if isinstance(part, FSDPModule)]


def _by_name(state: dict[str, Any], optimizer: Optimizer, model: nn.Module) -> dict[str, Any]:
    """An optimiser's state with the names of parameters for their numbers, whose order within the groups tells them."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    numbers = [number for group in state["param_groups"] for number in group["params"]]
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    name = dict(zip(numbers, (names[id(parameter)] for parameter in parameters), strict=True))
    groups = [{**group, "params": [name[number] for number in group["params"]]} for group in state["param_groups"]]
    return {"state": {name[number]: values for number, values in state["state"].items()}, "param_groups": groups}
