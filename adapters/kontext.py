"""What the FLUX.1 Kontext family means alike, whoever sells it: nine shapes near one megapixel.

Sizes: Runware's model pages for pro and max; other vendors of the same upstream model take the ratio by name.
"""

from math import ceil, floor, gcd, log

from adapters.contract import Picture, Pixels, Ratio, SizeLaw

SHAPES: dict[str, Pixels] = {
    "21:9": Pixels(1568, 672),
    "16:9": Pixels(1392, 752),
    "3:2": Pixels(1248, 832),
    "4:3": Pixels(1184, 880),
    "1:1": Pixels(1024, 1024),
    "3:4": Pixels(880, 1184),
    "2:3": Pixels(832, 1248),
    "9:16": Pixels(752, 1392),
    "9:21": Pixels(672, 1568),
}


def pixels(text: str) -> Pixels:
    """`1248x832` as a size. Raises `ValueError` for anything else."""
    return Pixels(*_two_numbers(text, "x"))


def ratio(text: str) -> Ratio:
    """`16:9` as a ratio. Raises `ValueError` for anything else."""
    return Ratio(*_two_numbers(text, ":"))


def _two_numbers(text: str, between: str) -> tuple[int, int]:
    parts = text.split(between)
    if len(parts) != 2 or not all(part.isascii() and part.isdigit() and 0 < len(part) <= 5 for part in parts):
        raise ValueError(f"expected two whole numbers as 16{between}9")
    width, height = int(parts[0]), int(parts[1])
    if not width or not height:
        raise ValueError(f"expected two numbers above 0 as 16{between}9")
    return width, height


def distance(left: Picture | Pixels | Ratio, right: Picture | Pixels | Ratio) -> float:
    """How far two shapes are apart: 0 for the same ratio, the same for 2:1 against 1:1 as for 1:1 against 1:2."""
    return abs(log(left.width / left.height) - log(right.width / right.height))


def nearest_size(shape: Picture | Pixels | Ratio, sizes: tuple[Pixels, ...]) -> Pixels:
    """The size of the closest ratio; among equals the closest area."""
    wanted = shape.width * shape.height
    return min(sizes, key=lambda size: (round(distance(shape, size), 6), abs(size.width * size.height - wanted)))


def nearest_ratio(shape: Picture | Pixels | Ratio, ratios: tuple[str, ...]) -> str:
    """The closest of the named ratios. A name stands for its Kontext size (21:9 is 1568x672, a shade wider)."""
    return min(ratios, key=lambda name: distance(shape, SHAPES.get(name) or ratio(name)))


def _smallest(shape: Ratio) -> Ratio:
    divisor = gcd(shape.width, shape.height)
    return Ratio(shape.width // divisor, shape.height // divisor)


_NAMES = {_smallest(ratio(name)): name for name in SHAPES}


def name_of(shape: Ratio) -> str:
    """The family's name for a ratio: 32:18 is `16:9` and 7:3 is `21:9`. Any other in its smallest numbers."""
    smallest = _smallest(shape)
    return _NAMES.get(smallest, str(smallest))


def near_a_megapixel(shape: Ratio) -> Pixels:
    """A ratio as pixels where an offer takes any size: Kontext's own size for it, else multiples of 16 near 1 Mpx."""
    if named := SHAPES.get(name_of(shape)):
        return named
    scale = (1024 * 1024 / (shape.width * shape.height)) ** 0.5
    return Pixels(max(1, round(shape.width * scale / 16)) * 16, max(1, round(shape.height * scale / 16)) * 16)


def lawful(wanted: Pixels, law: SizeLaw) -> Pixels:
    """The size nearest to `wanted` that `law` allows, of its shape as far as the ratio permits."""
    shape = _within_ratio(wanted, law.ratio)
    area = min(max(wanted.width * wanted.height, law.least), law.most)
    scale = (area / (shape.width * shape.height)) ** 0.5
    scale = min(scale, law.side / max(shape.width, shape.height))
    return _stepped(shape.width * scale, shape.height * scale, law)


def _within_ratio(shape: Pixels, most: float) -> Pixels:
    """The shape with its longer side cut to `most` times the shorter."""
    return Pixels(min(shape.width, int(shape.height * most)), min(shape.height, int(shape.width * most)))


def _stepped(width: float, height: float, law: SizeLaw) -> Pixels:
    """Multiples of the law's step near both sides: of the four that surround them, the nearest that it allows."""
    sides = [
        Pixels(across * law.step, down * law.step)
        for across in {max(1, floor(width / law.step)), ceil(width / law.step)}
        for down in {max(1, floor(height / law.step)), ceil(height / law.step)}
    ]
    exact = Pixels(max(1, round(width)), max(1, round(height)))
    return min(sides, key=lambda size: (not allows(law, size), distance(size, exact), -size.width * size.height))


def allows(law: SizeLaw, size: Pixels) -> bool:
    long, short = max(size.width, size.height), min(size.width, size.height)
    stepped = size.width % law.step == 0 and size.height % law.step == 0
    return stepped and long <= law.side and long <= law.ratio * short and law.least <= long * short <= law.most
