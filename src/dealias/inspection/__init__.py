# SPDX-License-Identifier: Apache-2.0
"""What analyses of a network have in common: the network, the images, running one on the other, and the folder."""

from .images import ImageFiles, Images, open_images
from .network import Subject, open_checkpoint, open_model, open_timm
from .output import PICTURES, claim, header, write_picture
from .running import Size, preparation, run

__all__ = [
    "PICTURES",
    "ImageFiles",
    "Images",
    "Size",
    "Subject",
    "claim",
    "header",
    "open_checkpoint",
    "open_images",
    "open_model",
    "open_timm",
    "preparation",
    "run",
    "write_picture",
]
