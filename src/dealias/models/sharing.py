# SPDX-License-Identifier: Apache-2.0
"""Networks as folders that can be shared: ``save_pretrained``, ``from_pretrained``, ``push_to_hub``.

A folder has ``model.safetensors``, which is all that is needed to make the network again, ``config.json``, which
repeats what that file says of the network, for people and for the hub, and ``README.md``, the model card.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import dealias
from dealias._files import write_json, write_text

from .model_card import CardFacts, model_card

WEIGHTS_FILE, CONFIG_FILE, CARD_FILE = "model.safetensors", "config.json", "README.md"

_DATA = ("classes", "palette", "ignore_index", "mean", "std")
_HUB_NAME = re.compile(r"[\w][\w.-]*/[\w][\w.-]*")


class Shareable:
    """What makes a network of :mod:`dealias.models` one that can be saved to a folder, and to the hub."""

    def save_pretrained(
        self, folder: str | Path, facts: CardFacts | None = None, data: Mapping[str, Any] | None = None
    ) -> Path:
        """Write the network to a folder, from which :meth:`from_pretrained` makes it again.

        Args:
            folder: made if it is missing. The three files are replaced, each as a whole.
            facts: scores, data, command and licence for the model card; see :meth:`CardFacts.of_run`.
            data: of the data, ``classes``, ``palette``, ``ignore_index``, ``mean`` and ``std``, as far as known, for
                ``dealias predict``; what :func:`dealias.train.load_checkpoint` returns can be given as it is.

        Returns:
            The folder.

        Raises:
            ValueError: the network was not made by :func:`dealias.models.create_model` or its like.
        """
        from .files import read_header, write_model_file

        network: Any = self
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        known = {key: data[key] for key in _DATA if data and data.get(key) is not None}
        write_model_file(network, target / WEIGHTS_FILE, {"data": json.dumps(known)} if known else None)
        task = read_header(target / WEIGHTS_FILE).task
        about = {"library_name": "dealias", "version": dealias.__version__, "task": task}
        write_json(target / CONFIG_FILE, {**about, "network": network.config, "data": known})
        parameters = sum(parameter.numel() for parameter in network.parameters())
        write_text(target / CARD_FILE, model_card(task, network.config, parameters, facts or CardFacts()))
        return target

    @classmethod
    def from_pretrained(
        cls,
        name_or_folder: str | Path,
        revision: str | None = None,
        token: str | None = None,
        cache_dir: str | Path | None = None,
    ) -> Self:
        """The network of a folder that :meth:`save_pretrained` wrote, or of the hub.

        Args:
            name_or_folder: a folder, for which nothing is asked of the network; otherwise ``OWNER/NAME`` on the hub.
            revision: branch, tag or commit there.
            token: to log in there; None: the stored one, if any.
            cache_dir: where files of the hub are kept; None: its own place.

        Returns:
            The network in evaluation mode, on the CPU.

        Raises:
            ValueError: the folder or file is none of dealias, or has a network of another class.
            OSError: there is no such folder, and the hub has no such network, cannot be reached, or must not be
                (``HF_HUB_OFFLINE``).
        """
        from .files import read_model_file

        path = _weights_file(name_or_folder, revision, token, cache_dir)
        model, _ = read_model_file(path)
        if not isinstance(model, cls):
            raise ValueError(f"{name_or_folder}: it has a {type(model).__name__}, no {cls.__name__}")
        return model

    def push_to_hub(
        self,
        name: str,
        facts: CardFacts | None = None,
        data: Mapping[str, Any] | None = None,
        private: bool | None = None,
        token: str | None = None,
        message: str = "Upload a network of dealias",
    ) -> str:
        """Write the network to the hub, see :meth:`save_pretrained`.

        Args:
            name: ``OWNER/NAME``, made if it is missing.
            facts: for the model card.
            data: of the data.
            private: whether a new place is hidden from others; None: as the owner has set.
            token: to log in; None: the stored one.
            message: of the commit.

        Returns:
            Address of the commit.

        Raises:
            ValueError: as :meth:`save_pretrained`, or the name is none.
            OSError: the hub cannot be reached, must not be (``HF_HUB_OFFLINE``), or does not allow it.
        """
        if not _HUB_NAME.fullmatch(name):
            raise ValueError(f"expected OWNER/NAME, got {name!r}")
        import huggingface_hub

        with tempfile.TemporaryDirectory() as folder:
            self.save_pretrained(folder, facts, data)
            try:
                api = huggingface_hub.HfApi(token=token)
                api.create_repo(name, private=private, exist_ok=True)
                commit = api.upload_folder(repo_id=name, folder_path=folder, commit_message=message)
            except Exception as error:  # the hub's own errors and those of the connection have no common type
                raise OSError(f"{name}: cannot be written to the hub: {_first_line(error)}") from error
        return str(commit.commit_url)


def _weights_file(
    name_or_folder: str | Path, revision: str | None, token: str | None, cache_dir: str | Path | None
) -> Path:
    if Path(name_or_folder).is_dir():
        path = Path(name_or_folder, WEIGHTS_FILE)
        if not path.is_file():
            raise ValueError(f"{name_or_folder}: no folder of save_pretrained, it has no {WEIGHTS_FILE}")
        return path
    name = str(name_or_folder)
    if not _HUB_NAME.fullmatch(name):
        raise FileNotFoundError(f"{name}: no such folder, and no name of the hub, which would be OWNER/NAME")
    import huggingface_hub

    try:
        found = huggingface_hub.hf_hub_download(name, WEIGHTS_FILE, revision=revision, token=token, cache_dir=cache_dir)
    except Exception as error:  # the hub's own errors and those of the connection have no common type
        raise OSError(f"{name}: no such folder, and the hub does not give it: {_first_line(error)}") from error
    return Path(found)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
