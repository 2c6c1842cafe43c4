"""The catalogue: forty titled pieces, and any number more drawn from a seed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from random import Random

from composer.harmony import FIFTHS, pitch_class
from composer.styles import STYLES

TRAINING_FOLDER, VALIDATION_FOLDER = "jazz_sample_files", "Validation_samples"


@dataclass(frozen=True)
class Piece:
    """What a piece is before it is written; tempo in bpm, key such as `Bb` or `Gm`.

    `take` chooses among the performances that could have been.
    """

    title: str
    style: str
    key: str
    tempo: int
    choruses: int
    take: int

    @property
    def minor(self) -> bool:
        """Tell whether the key is minor."""
        return self.key.endswith("m")

    @property
    def tonic(self) -> int:
        """Return the key's pitch class."""
        return pitch_class(self.key.removesuffix("m"))

    @property
    def file_name(self) -> str:
        """Return a name for the piece's file in plain ASCII."""
        plain = self.title.lower().replace("'", "")
        return re.sub(r"[^a-z0-9]+", "_", plain).strip("_") + ".mid"


TRAINING = (
    Piece("Blue Lantern Blues", "blues", "Bb", 112, 3, 1),
    Piece("Kettle on the Sill", "blues", "G", 144, 3, 1),
    Piece("Ash and Amber", "minor blues", "Cm", 126, 3, 1),
    Piece("Pocket Full of Corners", "bebop blues", "F", 208, 3, 1),
    Piece("Second Ladder", "rhythm changes", "Bb", 224, 3, 1),
    Piece("The Orchard Gate", "standard", "Eb", 138, 3, 1),
    Piece("Nine Rivers North", "standard", "Ab", 152, 3, 1),
    Piece("Slate Horizon", "modal", "Dm", 148, 2, 1),
    Piece("Tide Tables", "modal", "Em", 176, 3, 1),
    Piece("Paper Boats at Noon", "bossa nova", "F", 132, 2, 1),
    Piece("Ferry to the Island", "bossa nova", "D", 124, 2, 1),
    Piece("Letter Kept in a Drawer", "ballad", "Db", 58, 1, 1),
    Piece("Snow Behind the Glass", "ballad", "Bm", 64, 1, 1),
    Piece("Three Chairs by the Window", "jazz waltz", "Am", 156, 3, 1),
    Piece("Tin Roof Parade", "stride", "Eb", 184, 3, 1),
    Piece("Morning at the Long Table", "gospel", "A", 76, 2, 1),
    Piece("Calle del Farol", "latin", "Gm", 190, 3, 1),
    Piece("Sparks from the Grinder", "bebop", "F", 268, 3, 1),
    Piece("Umbrella Weather", "medium swing", "Bb", 128, 3, 1),
    Piece("Left at the Lighthouse", "medium swing", "Gb", 144, 2, 1),
)
VALIDATION = (
    Piece("Borrowed Overcoat", "blues", "F", 96, 3, 1),
    Piece("Cinder Lane", "blues", "C", 160, 3, 1),
    Piece("Rain on the Loading Dock", "minor blues", "Fm", 138, 3, 1),
    Piece("Quarter Past Trouble", "bebop blues", "Bb", 220, 3, 1),
    Piece("Hinges and Springs", "rhythm changes", "Eb", 236, 3, 1),
    Piece("A Map of Somewhere Else", "standard", "Db", 132, 2, 1),
    Piece("Harbour of Glass", "standard", "C", 160, 3, 1),
    Piece("Standing Stones", "modal", "Cm", 136, 2, 1),
    Piece("Copper Compass", "modal", "F#m", 168, 3, 1),
    Piece("Hammock Under Two Palms", "bossa nova", "Bb", 138, 2, 1),
    Piece("Window Seat South", "bossa nova", "E", 120, 2, 1),
    Piece("What the Candle Said", "ballad", "Eb", 55, 1, 1),
    Piece("Last Train from Elmsworth", "ballad", "Cm", 66, 1, 1),
    Piece("The Clockmaker's Daughter", "jazz waltz", "F", 144, 3, 1),
    Piece("Suspenders and Spats", "stride", "Ab", 200, 3, 1),
    Piece("Sunday Coat", "gospel", "G", 84, 2, 1),
    Piece("Mercado de Madrugada", "latin", "Dm", 176, 3, 1),
    Piece("Two Steps Ahead of It", "bebop", "Bb", 280, 3, 1),
    Piece("Corner Table for One", "medium swing", "G", 120, 3, 1),
    Piece("Brass Buttons", "medium swing", "B", 152, 3, 1),
)
ADJECTIVES = (
    "Amber",
    "Brittle",
    "Crooked",
    "Distant",
    "Early",
    "Faded",
    "Gentle",
    "Hollow",
    "Idle",
    "Jagged",
    "Keen",
    "Lonesome",
    "Muddy",
    "Narrow",
    "Open",
    "Patient",
    "Quiet",
    "Restless",
    "Silver",
    "Tangled",
    "Upright",
    "Velvet",
    "Wandering",
    "Yellow",
)
NOUNS = (
    "Almanac",
    "Balcony",
    "Cobbler",
    "Doorway",
    "Elevator",
    "Fountain",
    "Granary",
    "Hatbox",
    "Inkwell",
    "Jetty",
    "Kiosk",
    "Lamplight",
    "Market",
    "Notebook",
    "Orchard",
    "Pier",
    "Quilt",
    "Railing",
    "Staircase",
    "Teapot",
    "Upstairs",
    "Viaduct",
    "Weathervane",
    "Yard",
)


def further_pieces(count: int, seed: int) -> list[Piece]:
    """Invent count further pieces from a seed; the styles take turns."""
    random = Random(f"further pieces {seed}")
    styles = list(STYLES)
    random.shuffle(styles)
    return [
        invent_piece(styles[number % len(styles)], number + 1, seed, random)
        for number in range(count)
    ]


def invent_piece(style: str, number: int, seed: int, random: Random) -> Piece:
    """Invent one piece of a style; its number keeps titles and files apart."""
    low, high = STYLES[style].tempos
    title = f"{random.choice(ADJECTIVES)} {random.choice(NOUNS)} No. {number}"
    key = random.choice(FIFTHS[:12]) + "m" * STYLES[style].minor
    tempo, choruses = random.randint(low, high), random.choice((2, 2, 3))
    return Piece(title, style, key, tempo, choruses, seed)
