# SPDX-License-Identifier: Apache-2.0
"""Damage to what is within documents and weight files, so that they are still well formed."""

import io
import json
import random

import torch
import yaml
from mutation import mutate_tree


def _json_tree(content: bytes, draw: random.Random) -> bytes:
    return json.dumps(mutate_tree(json.loads(content), draw)).encode()


def _yaml_tree(content: bytes, draw: random.Random) -> bytes:
    return yaml.safe_dump(mutate_tree(yaml.safe_load(content), draw)).encode()


def _checkpoint_tree(content: bytes, draw: random.Random) -> bytes:
    """Other arguments of the network, other descriptions of the data, other things beside or in place of weights."""
    stored = torch.load(io.BytesIO(content), weights_only=True)
    state = stored.pop("state_dict", {})
    stored = mutate_tree(stored, draw)
    if isinstance(stored, dict):
        if draw.random() < 0.3 and state:
            key = draw.choice(sorted(state))
            huge = torch.zeros(1).expand(10**6, 10**6)
            state[key] = draw.choice((None, 0.5, "x", {}, state[key].reshape(-1)[:0], state[key].half(), huge))
        stored["state_dict"] = state
    file = io.BytesIO()
    torch.save(stored, file)
    return file.getvalue()


def _safetensors_tree(content: bytes, draw: random.Random) -> bytes:
    """Another header: shapes, kinds, places of tensors, and the description of the network in its metadata."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    metadata = header.get("__metadata__", {})
    if "dealias" in metadata and draw.random() < 0.7:
        metadata["dealias"] = json.dumps(mutate_tree(json.loads(metadata["dealias"]), draw))
    else:
        header = mutate_tree(header, draw)
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + content[8 + length :]


CHANGES = {
    ".json": _json_tree,
    ".yaml": _yaml_tree,
    ".ckpt": _checkpoint_tree,
    ".pth": _checkpoint_tree,
    ".safetensors": _safetensors_tree,
}
"""By the ending of a file, how it is changed."""
