"""What the demo's cameras and screens show: a drawn person who moves and speaks, and a document being written.

Used only to make the assets. A picture is uint8, shape (360, 640, 3), RGB.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Colour = tuple[int, int, int]

WIDTH, HEIGHT = 640, 360
WALLS: dict[int, Colour] = {1: (92, 132, 150), 2: (164, 126, 84)}  # by which the two people are told apart
SHIRTS: dict[int, Colour] = {1: (40, 66, 110), 2: (104, 44, 52)}
SKIN: dict[int, Colour] = {1: (222, 180, 150), 2: (150, 104, 78)}
HAIR: dict[int, Colour] = {1: (84, 58, 40), 2: (34, 28, 28)}
DARK: Colour = (40, 32, 32)
PAPER: Colour = (246, 245, 240)
FIGURES = (0o75557, 0o26227, 0o71747, 0o71717, 0o55711, 0o74717, 0o74757, 0o71111, 0o75757, 0o75717)  # 0..9, 3 x 5 dots
CAMERA_FPS = 30

_Y, _X = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)


def camera(person: int, loudness: Sequence[float]) -> Iterator[Picture]:
    """A person in front of a wall, one picture per value of `loudness` (0..1), which opens the mouth."""
    light = 1.12 - 0.3 * np.hypot(_X - 200, _Y - 80) / 500
    wall = light[..., np.newaxis] * np.array(WALLS[person], dtype=np.float32)
    _ellipse(wall, SHIRTS[person], (320, 350), (150, 110))
    for index, loud in enumerate(loudness):
        t = index / CAMERA_FPS
        x, y = 320 + 10 * math.sin(0.9 * t), 165 + 4 * math.sin(1.7 * t)
        scene = wall.copy()
        _ellipse(scene, HAIR[person], (x, y - 22), (72, 82))
        _ellipse(scene, SKIN[person], (x, y), (60, 78))
        is_blink = t % 3.7 < 0.12
        for side in (-24, 24):
            _ellipse(scene, DARK, (x + side, y - 14), (8, 1.5 if is_blink else 6))
        _ellipse(scene, DARK, (x, y + 38), (20, 2 + 12 * loud))
        _figures(scene, index // CAMERA_FPS, (40, 560))
        yield scene.clip(0, 255).astype(np.uint8)


def screen(person: int, count: int) -> Iterator[Picture]:
    """A window in which a document is typed, a word in every second picture; a full page starts again."""
    chance = np.random.default_rng(person)
    page = _empty_window(person)
    x, y = 60, 70
    for index in range(count):
        if index % 2 == 0:
            width = int(chance.integers(14, 60))
            if x + width > WIDTH - 60:
                x, y = 60, y + 18
            if y > HEIGHT - 100:
                page, y = _empty_window(person), 70
            page[y : y + 8, x : x + width] = DARK
            x += width + 8
        picture = page.copy()
        picture[y - 3 : y + 11, x : x + 2] = SHIRTS[person]
        yield picture.astype(np.uint8)


def _empty_window(person: int) -> NDArray[np.float32]:
    window = np.empty((HEIGHT, WIDTH, 3), dtype=np.float32)
    window[:] = PAPER
    window[:40] = SHIRTS[person]
    window[14:26, 90:290] = PAPER
    return window


def _ellipse(
    scene: NDArray[np.float32], colour: Colour, centre: tuple[float, float], radii: tuple[float, float]
) -> None:
    """Paint an ellipse whose edge is one pixel soft; `centre` and `radii` are (x, y)."""
    distance = np.hypot((_X - centre[0]) / radii[0], (_Y - centre[1]) / radii[1])
    cover = np.clip((1 - distance) * min(radii) + 0.5, 0, 1)[..., np.newaxis]
    scene += cover * (np.array(colour, dtype=np.float32) - scene)


def _figures(scene: NDArray[np.float32], number: int, corner: tuple[int, int]) -> None:
    """Paint a two-figure number with 6-pixel dots; `corner` is (top, left)."""
    for place, figure in enumerate(divmod(number, 10)):
        for dot in range(15):
            if FIGURES[figure] >> (14 - dot) & 1:
                top, left = corner[0] + 6 * (dot // 3), corner[1] + 6 * (dot % 3 + 4 * place)
                scene[top : top + 6, left : left + 6] = PAPER
