"""Images: files to arrays (decode; many_channels, with arrays, tiff and pil_bands; video), images in memory
(in_memory), geometry (resize), random changes (augment, mix; with boxes: augment_boxes, box_format), and drawing:
arrays to Pillow images (to_pil), boxes (draw), sheets of thumbnails (contact_sheet), sheets of arrays such as gradients
(array_sheet)."""
from runner.images.augment import Augment, augment, augment_batch, augment_of
from runner.images.augment_boxes import BoxAugment, augment_with_boxes
from runner.images.box_format import convert, pixel_corners
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
    letterboxed_size,
    prepare,
    resize,
    resize_max,
    resize_min,
    rotate_crop,
)
from runner.images.to_pil import channels_shown, to_pil, to_uint8

__all__ = ["PREPARATIONS", "SUFFIXES", "Augment", "BoxAugment", "Placement", "augment", "augment_batch", "augment_of",
           "augment_with_boxes", "centre_crop", "centre_square", "channels_shown", "convert", "cover", "crop", "flip",
           "letterbox", "letterboxed_size", "pixel_corners", "prepare", "read_image", "read_pixels", "resize",
           "resize_max", "resize_min", "rotate_crop", "to_channels", "to_float", "to_pil", "to_uint8"]
