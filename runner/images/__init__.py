"""Images: files to arrays (decode), geometry (resize), colours (colour), random changes (augment)."""
from runner.images.augment import Augment, augment, augment_batch, augment_of
from runner.images.augment_boxes import BoxAugment, augmented
from runner.images.colour import distort
from runner.images.decode import SUFFIXES, read_image, read_pixels, to_channels, to_float
from runner.images.resize import (
    PREPARATIONS,
    Placement,
    centre_crop,
    centre_square,
    cover,
    crop,
    flip,
    letterbox,
    prepare,
    resize,
    resize_max,
    resize_min,
    rotate_crop,
)

__all__ = ["PREPARATIONS", "SUFFIXES", "Augment", "BoxAugment", "Placement", "augment", "augment_batch", "augment_of",
           "augmented", "centre_crop", "centre_square", "cover", "crop", "distort", "flip", "letterbox", "prepare",
           "read_image", "read_pixels", "resize", "resize_max", "resize_min", "rotate_crop", "to_channels", "to_float"]
