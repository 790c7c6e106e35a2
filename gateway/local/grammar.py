"""What the preview understands: a table of rules, each of which must match a clause completely.

Searching a prompt for keywords acts on "blur the background" and "darken the sky"; a rule here names the whole picture
or nothing at all, so a clause about something in the picture matches none and is reported instead.
"""

import re
from collections.abc import Callable

import msgspec
from PIL import ImageColor

from gateway.local import operations as op
from gateway.local.clauses import QUOTE, Clause


class Reading(msgspec.Struct, frozen=True):
    """A clause understood. `reference` is how it names the picture: by name, by "it", or not at all."""

    operation: op.Operation
    reference: str


PICTURE, PRONOUN, IMPLIED = "picture", "pronoun", "implied"

Words = re.Match[str]
Build = Callable[[Words, tuple[str, ...]], op.Operation | None]

_LONGEST = (
    120  # characters of a clause; every instruction that a rule matches is shorter, and a bound keeps this linear
)
_POLITE = re.compile(r"(?:(?:please|kindly|now|just|also|first|next|finally|lastly|(?:can|could|would|will) you) )+")
_POLITE_END = re.compile(r"(?: (?:please|now|too|as well))+\Z")

_NAMED = r"(?:(?:the|this|my) )?(?:(?:whole|entire|full|complete) )?(?:picture|image|photo|photograph|pic)"
_OBJECT = rf"(?P<picture>{_NAMED}|everything)|(?P<pronoun>it|this|that)"
_O = rf"(?: (?:{_OBJECT}))?"
_OF = rf"(?: (?:of|in|on|from|to|around|onto|over) (?:{_OBJECT}))?"
_HOW = (
    r"(?: (?:by )?(?P<percent>[0-9]{1,3}) ?(?:%|percent)| (?P<degree>slightly|a bit|a little|a touch|a lot|strongly))?"
)
_BEFORE = r"(?:(?:(?P<percent>[0-9]{1,3}) ?(?:%|percent)|(?P<degree>slightly|a bit|a little|a touch|a lot|much)) )?"
_PX = r"(?: ?(?:px|pixels?))"
_MAKE = rf"(?:(?:make|turn|convert|change|render|transform){_O} (?:(?:in)?to )?(?:an? )?)?"
_FILTER = r"(?:apply|add|use)(?: an?)? "
_COLOUR = r"(?P<colour>#[0-9a-f]{6}|#[0-9a-f]{3}|[a-z]{3,20})"
_PLACES: dict[str, op.Position] = {
    "top left": "top left", "top": "top", "top right": "top right", "left": "left", "middle": "center",
    "center": "center", "centre": "center", "right": "right", "bottom left": "bottom left", "bottom": "bottom",
    "bottom right": "bottom right",
}  # fmt: skip
_PLACE = rf"(?: (?:at|in|on|to)(?: the)? (?P<place>{'|'.join(p.replace(' ', '[ -]') for p in _PLACES)})(?: corner)?)?"
_DEGREES = {"slightly": 10, "a bit": 10, "a little": 10, "a touch": 10, "a lot": 40, "much": 40, "strongly": 40}
_TONES: dict[str, Callable[[int], op.Operation]] = {
    "brightness": op.Brightness, "contrast": op.Contrast, "saturation": op.Saturation,
}  # fmt: skip
_UP = r"(?P<up>increase|raise|boost|more|higher|add|add more)"
_DOWN = r"(?P<down>decrease|reduce|lower|less)"


def _always(operation: op.Operation) -> Build:
    return lambda _match, _quotes: operation


def _percent(match: Words, highest: int) -> int | None:
    """The asked amount, 20 if none was given, None if it is out of range."""
    if match["percent"] is None:
        return _DEGREES.get(match["degree"] or "", 20)
    amount = int(match["percent"])
    return amount if 1 <= amount <= highest else None


def _tone(make: Callable[[int], op.Operation], sign: int) -> Build:
    def build(match: Words, _quotes: tuple[str, ...]) -> op.Operation | None:
        amount = _percent(match, 300 if sign > 0 else 100)
        return None if amount is None else make(sign * amount)

    return build


def _named_tone(match: Words, _quotes: tuple[str, ...]) -> op.Operation | None:
    return _tone(_TONES[match["tone"]], 1 if match["up"] else -1)(match, ())


def _number(lowest: float, highest: float, make: Callable[[float], op.Operation]) -> Build:
    """A rule with a group `number`, which must lie in the range; without the number the operation's own default."""

    def build(match: Words, _quotes: tuple[str, ...]) -> op.Operation | None:
        number = float(match["number"])
        return make(number) if lowest <= number <= highest else None

    return build


def _rotation(match: Words, _quotes: tuple[str, ...]) -> op.Operation | None:
    degrees = int(match["degrees"] or 90)
    clockwise = (match["way"] or "clockwise") in {"clockwise", "right"}
    turned = (degrees if clockwise else -degrees) % 360
    return op.Rotate(turned) if turned and degrees <= 360 else None


def _flip(match: Words, _quotes: tuple[str, ...]) -> op.Operation:
    return op.Flip("vertical" if match["vertical"] else "horizontal")


def _crop(match: Words, _quotes: tuple[str, ...]) -> op.Operation | None:
    if match["square"]:
        return op.Crop(1, 1)
    width, height = int(match["width"]), int(match["height"])
    return op.Crop(width, height) if width and height else None


def _resize(match: Words, _quotes: tuple[str, ...]) -> op.Operation:
    return op.Resize(int(match["width"]), int(match["height"]))


def _colour(match: Words) -> str | None:
    colour = match["colour"] or ""
    return colour if colour.startswith("#") or colour in ImageColor.colormap else None


def _border(match: Words, _quotes: tuple[str, ...]) -> op.Operation | None:
    colour = _colour(match) if match["colour"] else "black"
    widths = [int(width) for width in (match["before"], match["middle"], match["after"]) if width]
    if colour is None or len(widths) > 1 or not all(1 <= width <= 500 for width in widths):
        return None
    return op.Border(colour, widths[0] if widths else None)


def _text(match: Words, quotes: tuple[str, ...]) -> op.Operation | None:
    colour = _colour(match) if match["colour"] else "white"
    text = " ".join(quotes[0].split())
    if colour is None or not text:
        return None
    return op.Text(text, _PLACES[(match["place"] or "center").replace("-", " ")], colour)


def _background(match: Words, _quotes: tuple[str, ...]) -> op.Operation | None:
    colour = _colour(match)
    return None if colour is None else op.Background(colour)


def _adjective(words: str, build: Build) -> tuple[tuple[str, Build], ...]:
    """The amount stands before or after: "20% brighter", "brighter by 20%"."""
    return ((rf"{_MAKE}{_BEFORE}{words}", build), (rf"{_MAKE}{words}{_HOW}", build))


_GRAY = r"(?:black-and-white|b&w|bw|gr[ae]y[ -]?scale|monochrome)"
_SEPIA = r"sepia(?:[ -]toned?)?"
_LOOK = r"(?: (?:filter|effect|tone|look))"
_VERTICAL = r"(?P<vertical>vertically|upside[ -]down)"
_ACROSS = r"(?:horizontally|left to right|sideways)"
_WAY = r"(?:to the )?(?P<way>clockwise|counter-?clockwise|anti-?clockwise|left|right)"
_RATIO = r"(?:(?P<square>square)|(?P<width>[0-9]{1,3}):(?P<height>[0-9]{1,3}))"
_SIZE = r"(?P<width>[0-9]{1,5}) ?[x×] ?(?P<height>[0-9]{1,5})"
_FRAME = (
    rf"(?: (?P<before>[0-9]{{1,3}}){_PX})?(?: {_COLOUR})?(?: (?P<middle>[0-9]{{1,3}}){_PX})?"
    rf" (?:border|frame)(?: of (?P<after>[0-9]{{1,3}}){_PX})?"
)
_CAPTION = rf"(?: the| a)?(?: (?:text|caption|title|words?))? {QUOTE}"

_RULES: tuple[tuple[str, Build], ...] = (
    (rf"{_MAKE}{_GRAY}(?: version)?", _always(op.Grayscale())),
    (rf"{_GRAY} (?P<picture>picture|image|photo|version)", _always(op.Grayscale())),
    (rf"{_FILTER}{_GRAY}{_LOOK}{_OF}", _always(op.Grayscale())),
    (rf"(?:gr[ae]yscale|desaturate){_O}", _always(op.Grayscale())),
    (rf"remove (?:all |all the |the )?colou?rs?(?: (?:from|of) (?:{_OBJECT}))", _always(op.Grayscale())),
    (rf"{_MAKE}{_SEPIA}", _always(op.Sepia())),
    (rf"{_FILTER}{_SEPIA}{_LOOK}?{_OF}", _always(op.Sepia())),
    (rf"(?:invert|negate){_O}", _always(op.Invert())),
    (rf"invert (?:the |all |all the )?colou?rs{_OF}", _always(op.Invert())),
    (rf"{_MAKE}(?:negative|inverted)", _always(op.Invert())),
    (rf"blur{_O}(?: (?:slightly|a bit|a little))?", _always(op.Blur())),
    (rf"blur{_O} (?:by |with (?:a )?radius (?:of )?|radius )?(?P<number>[0-9]{{1,3}}(?:\.[0-9])?){_PX}?",
     _number(0.1, 200, lambda radius: op.Blur(radius))),
    (rf"{_MAKE}(?:blurry|blurred|blurrier)", _always(op.Blur())),
    (rf"sharpen{_O}(?: (?:slightly|a bit|a little))?", _always(op.Sharpen())),
    (rf"{_MAKE}(?:(?:a bit|a little|slightly) )?(?:sharper|crisper)", _always(op.Sharpen())),
    (rf"pixelate{_O}", _always(op.Pixelate())),
    (rf"pixelate{_O} (?:by|with|to) (?P<number>[0-9]{{1,3}}){_PX}?(?: blocks)?",
     _number(2, 500, lambda block: op.Pixelate(int(block)))),
    (rf"{_MAKE}pixelated", _always(op.Pixelate())),
    (rf"posteri[sz]e{_O}", _always(op.Posterize())),
    (rf"posteri[sz]e{_O} (?:to|with) (?P<number>[0-9]{{1,2}})(?: levels)?",
     _number(2, 64, lambda levels: op.Posterize(int(levels)))),
    (rf"{_MAKE}posteri[sz]ed", _always(op.Posterize())),
    (rf"(?:rotate|turn){_O}(?: by)? (?P<degrees>[0-9]{{1,3}}) ?(?:°|degrees?|deg)?(?: {_WAY})?", _rotation),
    (rf"rotate{_O} (?P<degrees>){_WAY}", _rotation),
    (rf"(?:turn|rotate){_O} upside[ -]down", _always(op.Rotate(180))),
    (rf"(?:flip|mirror){_O}(?: (?:{_VERTICAL}|{_ACROSS}))?", _flip),
    (rf"(?:brighten|lighten){_O}(?: up)?{_HOW}", _tone(op.Brightness, 1)),
    (rf"darken{_O}{_HOW}", _tone(op.Brightness, -1)),
    (rf"saturate{_O}{_HOW}", _tone(op.Saturation, 1)),
    (rf"desaturate{_O} (?:by )?(?P<percent>[0-9]{{1,3}}) ?(?:%|percent)(?P<degree>)", _tone(op.Saturation, -1)),
    *_adjective("(?:brighter|lighter)", _tone(op.Brightness, 1)),
    *_adjective("darker", _tone(op.Brightness, -1)),
    *_adjective("more (?:saturated|vivid|vibrant|colou?rful)", _tone(op.Saturation, 1)),
    *_adjective("less (?:saturated|vivid|vibrant|colou?rful)", _tone(op.Saturation, -1)),
    (rf"(?:{_UP}|{_DOWN}) (?:the )?(?P<tone>brightness|contrast|saturation){_OF}{_HOW}", _named_tone),
    (rf"crop{_O}(?: (?:to|into|as))?(?: an?)? {_RATIO}(?: (?:aspect )?ratio| format)?", _crop),
    (rf"(?:make|crop){_O} (?P<square>square)(?P<width>)(?P<height>)", _crop),
    (rf"(?:resize|scale|resample){_O}(?: (?:down|up))?(?: to)? {_SIZE}{_PX}?", _resize),
    (rf"(?:resize|scale){_O}(?: (?:down|up))? to (?P<number>[0-9]{{1,3}}) ?(?:%|percent)",
     _number(1, 400, lambda percent: op.Scale(int(percent)))),
    (rf"(?:add|draw|put)(?: an?)?{_FRAME}{_OF}", _border),
    (rf"(?:add|write|put|draw|insert|overlay){_CAPTION}(?: in {_COLOUR})?{_PLACE}{_OF}", _text),
    (rf"(?:make|set|change|turn|fill)(?: the)? background(?: colou?r)?(?: (?:to|with|in))? {_COLOUR}", _background),
    (rf"(?:add|use)(?: an?)? {_COLOUR} background", _background),
    (rf"replace(?: the)? background with {_COLOUR}", _background),
)  # fmt: skip
_TABLE = tuple((re.compile(pattern), build) for pattern, build in _RULES)


def read(clause: Clause) -> Reading | None:
    """The one operation that a clause asks for, or None if no rule matches all of it."""
    return _read_words(" ".join(clause.words), clause.quotes)


def _read_words(words: str, quotes: tuple[str, ...]) -> Reading | None:
    if len(words) > _LONGEST or len(quotes) > 1:
        return None
    words = _without_courtesy(words)
    for pattern, build in _TABLE:
        if (match := pattern.fullmatch(words)) and (operation := build(match, quotes)):
            return Reading(operation, _reference(match))
    return None


def _without_courtesy(words: str) -> str:
    opening = _POLITE.match(words)
    words = words[opening.end() :] if opening else words
    closing = _POLITE_END.search(words)
    return words[: closing.start()] if closing else words


def _reference(match: Words) -> str:
    groups = match.groupdict()
    return PICTURE if groups.get("picture") else PRONOUN if groups.get("pronoun") else IMPLIED
