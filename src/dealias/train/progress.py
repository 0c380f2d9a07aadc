# SPDX-License-Identifier: Apache-2.0
"""The progress bar of a training whose length may be given in steps."""

from lightning.pytorch.callbacks import RichProgressBar


class EpochProgressBar(RichProgressBar):
    """Lightning's, without the number of epochs where there is none (it would show -2)."""

    def _get_train_description(self, current_epoch: int) -> str:
        return super()._get_train_description(current_epoch).removesuffix("/-2")
