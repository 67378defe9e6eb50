"""Paint docs/images/photo.jpg, a lake at sunset without copyright, for the documentation.

    python tools/make_photo.py [FILE]

NumPy generates sky, clouds, hills and water from seeded noise; Pillow draws the tree and the boat.  Everything is
painted at three times the size and reduced, for antialiasing.  The same versions of NumPy and Pillow give the same
file.
"""
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

WIDTH, HEIGHT, SCALE = 384, 256, 3
W, H = WIDTH * SCALE, HEIGHT * SCALE
SHORE = int(H * 0.64)  # the row where water begins
SUN = (int(W * 0.68), int(H * 0.42))


def noise(
    rng: np.random.Generator, height: int, width: int, coarse: tuple[int, int], octaves: int = 5
) -> np.ndarray:
    """Fractal value noise in 0..1: the sum of upscaled random grids, each twice as fine and half as strong."""
    total = np.zeros((height, width))
    for octave in range(octaves):
        rows, columns = coarse[0] << octave, coarse[1] << octave
        grid = Image.fromarray(rng.random((rows + 1, columns + 1)).astype(np.float32))
        total += np.asarray(grid.resize((width, height), Image.Resampling.BICUBIC)) / 2**octave
    return (total - total.min()) / (total.max() - total.min())


def mix(a: np.ndarray, b: np.ndarray | tuple, amount: np.ndarray) -> np.ndarray:
    """Blend colour a into colour b by amount 0..1, per pixel."""
    return a + (np.asarray(b, float) - a) * amount[..., None]


def sky(rng: np.random.Generator) -> np.ndarray:
    """(H, W, 3): blue above, orange below, glow around the sun, streaks of cloud."""
    stops = np.array([0, 0.3, 0.55, 0.75, 1])
    colours = np.array([(38, 62, 128), (94, 110, 178), (226, 140, 140), (255, 186, 104), (255, 220, 150)])
    down = np.linspace(0, 1, SHORE)
    column = np.stack([np.interp(down, stops, colours[:, c]) for c in range(3)], axis=1)
    canvas = np.repeat(column[:, None], W, axis=1)
    y, x = np.mgrid[:SHORE, :W]
    distance = np.hypot(x - SUN[0], (y - SUN[1]) * 1.15)
    canvas = mix(canvas, (255, 236, 170), 0.85 * np.exp(-distance / (W * 0.09)))
    clouds = (
        np.clip(noise(rng, SHORE, W, (5, 3), 6) * 2.6 - 1.35, 0, 1) * np.linspace(1, 0.35, SHORE)[:, None]
    )
    lit = mix(np.full((SHORE, W, 3), (150, 118, 160.0)), (255, 206, 164), np.exp(-distance / (W * 0.35)))
    canvas = mix(canvas, lit, 0.85 * clouds)
    return mix(canvas, (255, 250, 222), np.clip(W * 0.032 - np.hypot(x - SUN[0], y - SUN[1]), 0, 1))


def hills(canvas: np.ndarray, rng: np.random.Generator) -> None:
    """Ridges from far and pale to near and dark green, painted into the sky in place."""
    ridges = [
        (0.50, 0.150, (138, 112, 158), 4),
        (0.56, 0.110, (96, 92, 132), 5),
        (0.605, 0.060, (58, 88, 84), 9),
    ]
    for base, swing, colour, waves in ridges:
        line = noise(rng, 1, W, (1, waves), 6)[0]
        top = H * (base + swing * (0.5 - line))
        y = np.arange(SHORE)[:, None]
        inside = np.clip(y - top, 0, 1)
        grain = noise(rng, SHORE, W, (40, 60), 3)[..., None] * 46 - 23
        depth = np.clip((y - top) / (H * 0.16), 0, 1)
        land = mix(np.full((SHORE, W, 3), colour, float) + grain, (232, 176, 150), 0.35 * depth)
        canvas += (land - canvas) * inside[..., None]


def water(shore: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(H - SHORE, W, 3): the land reflected in waves that grow towards the viewer, darker and bluer."""
    rows = H - SHORE
    y, x = np.mgrid[:rows, :W]
    near = y / rows
    waves = noise(rng, rows, W, (28, 5), 4) - 0.5
    source_y = np.clip(SHORE - 1 - (y * 1.45 + waves * (20 + 170 * near)), 0, SHORE - 1).astype(int)
    source_x = np.clip(x + waves * (10 + 40 * near), 0, W - 1).astype(int)
    canvas = mix(shore[source_y, source_x], (24, 52, 96), 0.30 + 0.35 * near)
    spark = np.clip(waves * 7 - 1.0, 0, 1) * np.exp(-(((x - SUN[0]) / (W * (0.025 + 0.05 * near))) ** 2))
    return mix(canvas, (255, 226, 160), 0.9 * spark)


def tree(image: Image.Image, rng: np.random.Generator) -> None:
    """A round tree on a grassy bank in the left foreground: trunk, branches, and leaves lit from the right."""
    draw = ImageDraw.Draw(image)
    bank = noise(rng, 1, W, (1, 6), 5)[0]
    top = [H * (0.90 + 0.035 * bank[x] + 0.10 * (x / W) ** 1.5) for x in range(W)]
    draw.polygon([(0, H), *enumerate(top), (W, H)], fill=(38, 54, 30))
    for _ in range(9000):
        x = int(rng.integers(0, W))
        y = top[x] + rng.random() ** 2 * H * 0.12
        shade = rng.random()
        colour = (int(48 + 70 * shade), int(76 + 64 * shade), int(30 + 22 * shade))
        draw.line([(x, y), (x + rng.normal(0, 4), y - rng.uniform(5, 19))], fill=colour, width=2)
    foot, crown = (W * 0.17, H * 0.925), (W * 0.18, H * 0.42)
    draw.polygon(
        [
            (foot[0] - 24, foot[1]),
            (foot[0] + 24, foot[1]),
            (crown[0] + 9, crown[1]),
            (crown[0] - 9, crown[1]),
        ],
        fill=(54, 36, 28),
    )
    for angle in (-0.95, -0.5, 0.45, 0.9):
        start = (W * 0.176, H * rng.uniform(0.58, 0.66))
        end = (start[0] + np.sin(angle) * W * 0.11, start[1] - np.cos(angle) * H * 0.17)
        draw.line([start, end], fill=(54, 36, 28), width=10)
    centres = np.clip(rng.normal(0, 1, (42, 2)), -1.6, 1.6) * (W * 0.055, H * 0.085) + (
        crown[0],
        crown[1] - H * 0.01,
    )
    leaves = (centres[:, None] + rng.normal(0, 1, (42, 150, 2)) * (W * 0.018, H * 0.024)).reshape(-1, 2)
    light = (
        (leaves[:, 0] - crown[0]) / (W * 0.2)
        - (leaves[:, 1] - crown[1]) / (H * 0.34)
        + rng.normal(0, 0.28, len(leaves))
    )
    for k in np.argsort(light):  # the darkest first, so that lit ones are on top
        (x, y), bright = leaves[k], float(np.clip(0.42 + 0.38 * light[k], 0, 1))
        shaded = tuple(int(a + (b - a) * bright) for a, b in zip((24, 46, 26), (206, 176, 70), strict=True))
        r = rng.uniform(3, 6.5)
        draw.ellipse([x - r, y - r * 0.8, x + r, y + r * 0.8], fill=shaded)


def boat(image: Image.Image) -> None:
    """A red boat with a white and an orange sail, and its reflection."""
    x, y, s = W * 0.50, H * 0.745, SCALE
    draw = ImageDraw.Draw(image, "RGBA")
    for k in range(34 * s):  # the reflection: stripes, shorter and fainter towards the bottom
        half_width = (27 - 0.55 * k / s) * s * (1 + 0.18 * np.sin(k / 4.1))
        if half_width > 0:
            draw.line(
                [(x - half_width, y + 7 * s + k), (x + half_width, y + 7 * s + k)],
                fill=(92, 40, 48, int(150 * (1 - k / (34 * s)))),
            )
    draw.polygon(
        [(x - 30 * s, y - 2 * s), (x + 32 * s, y - 3 * s), (x + 22 * s, y + 9 * s), (x - 22 * s, y + 9 * s)],
        fill=(172, 44, 40),
    )
    draw.polygon(
        [(x - 30 * s, y - 2 * s), (x + 32 * s, y - 3 * s), (x + 31 * s, y), (x - 29 * s, y + s)],
        fill=(240, 214, 180),
    )
    draw.line([(x, y - 2 * s), (x, y - 62 * s)], fill=(60, 40, 32), width=s)
    draw.polygon(
        [(x + 2 * s, y - 60 * s), (x + 2 * s, y - 7 * s), (x + 28 * s, y - 9 * s)], fill=(250, 240, 222)
    )
    draw.polygon(
        [(x + 2 * s, y - 60 * s), (x + 2 * s, y - 7 * s), (x + 9 * s, y - 8 * s)], fill=(224, 204, 190)
    )
    draw.polygon(
        [(x - 2 * s, y - 54 * s), (x - 2 * s, y - 7 * s), (x - 22 * s, y - 8 * s)], fill=(240, 138, 52)
    )


def paint() -> Image.Image:
    """The finished image, RGB, WIDTH x HEIGHT."""
    rng = np.random.default_rng(7)
    land = sky(rng)
    hills(land, rng)
    pixels = np.concatenate([land, water(land, rng)])
    image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(1))
    boat(image)
    tree(image, rng)
    image = image.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
    grain = rng.normal(0, 2.2, (HEIGHT, WIDTH, 1))  # as of a camera
    return Image.fromarray(np.clip(np.asarray(image) + grain, 0, 255).astype(np.uint8))


if __name__ == "__main__":
    default = Path(__file__).resolve().parents[1] / "docs" / "images" / "photo.jpg"
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else default
    target.parent.mkdir(parents=True, exist_ok=True)
    paint().save(target, quality=90)
    print(target)
