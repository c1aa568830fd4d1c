"""Words for the templates, a set a split: no word of one split stands in another."""

from __future__ import annotations

from taskloom.recipes.generators.base import by_split

NAMES = by_split(
    "Anna Bruno Clara David Elena Felix Greta Hugo Irene Jonas Karla Leon Marta Nils Olga Pedro Rosa Simon Tina "
    "Viktor Wanda Yusuf Zora Emil",
    "Alice Boris Carmen Dmitri Esther Francis Gloria Henry Ingrid Jakob Lydia Marco Nadia Oscar",
    "Beatrix Conrad Daphne Edgar Fiona Gustav Helen Igor Judith Kevin Luisa Martin Petra Quentin",
)
SURNAMES = by_split(
    "Miller Novak Rossi Tanaka Jensen Moreau Kowalski Silva Haas Lindgren",
    "Weber Costa Dubois Larsen Sato Marino Keller",
    "Fischer Romano Suzuki Olsen Horvat Petit Santos",
)
ROLES = by_split(
    "doctor lawyer baker pilot singer painter nurse farmer teacher sailor judge dancer tailor miner barber poet",
    "actor waiter porter senator tourist manager hunter drummer potter jeweler",
    "author student mayor guard cook driver scientist athlete carpenter florist",
)
ACTIONS = by_split(
    "thanked visited called helped praised followed trusted admired blamed greeted hugged warned",
    "pushed supported ignored phoned mocked welcomed rescued questioned",
    "encouraged insulted recommended avoided contacted interrupted envied surprised",
)
"""Transitive verbs whose past is also their participle, so that active and passive need no second form."""

EVENTS_DONE = by_split(
    "danced slept laughed shouted resigned smiled waited sneezed",
    "arrived cried yawned stumbled hesitated trembled",
    "apologized vanished coughed retired whistled fainted",
)
HABITS = by_split(
    "sing paint swim cook run drive ski cycle knit row",
    "jog bake climb sew skate travel snore gamble",
    "camp hunt surf box lecture smoke juggle volunteer",
)
"""Verbs whose third person only takes an s."""

OBJECTS = by_split(
    "book bottle coin basket letter candle ticket pencil ribbon spoon button blanket mirror bell kettle towel",
    "cup jacket hammer guitar pillow shell stamp bucket pebble lemon",
    "helmet necklace magazine carpet trumpet napkin ladder wallet violin pumpkin",
)
"""Nouns whose plural only takes an s."""

ROOMS = by_split(
    "kitchen garden office bedroom hallway cellar attic garage library balcony",
    "bathroom park shop studio porch school workshop lobby",
    "barn chapel tower courtyard bakery museum pantry stable",
)
QUALITIES = by_split(
    "old dusty broken green useful heavy",
    "yellow fragile modern lost strange damp",
    "cracked blue valuable stolen pretty warm",
)
ADVERBS = by_split(
    "obviously clearly certainly usually",
    "apparently probably evidently often",
    "surely presumably undoubtedly sometimes",
)
OCCASIONS = by_split(
    "concert dinner parade lecture wedding auction picnic debate rehearsal interview",
    "festival exam banquet ballet funeral seminar tournament regatta",
    "excursion carnival election hearing barbecue marathon ceremony broadcast",
)
MONTHS = by_split("January March April June August September", "February July October", "May November December")
WEEKDAYS = by_split("Monday Wednesday Friday", "Tuesday Saturday", "Thursday Sunday")
CITIES = by_split(
    "Berlin Madrid Oslo Lima Cairo Toronto Naples Kyoto",
    "Lisbon Helsinki Nairobi Boston Prague",
    "Vienna Dublin Santiago Osaka Geneva",
)
UNITS = by_split("kilos liters miles boxes crates sacks", "grams gallons meters barrels", "tons pints yards bundles")
GOODS = by_split(
    "rice sand wool copper apples bricks coal", "sugar gravel cotton onions timber", "flour cement silk potatoes salt"
)
KINDS_OF = by_split(
    "poodles:dogs sparrows:birds roses:flowers oaks:trees vans:vehicles hammers:tools violins:instruments sofas:seats "
    "daggers:weapons carrots:vegetables ponies:horses surgeons:doctors toddlers:children cobras:snakes",
    "lizards:reptiles apples:fruits ferries:boats lambs:sheep nieces:relatives sandals:shoes castles:buildings",
    "tulips:plants spaniels:hounds trucks:machines beetles:bugs kittens:cats lieutenants:officers novels:books",
)
"""narrower:wider."""

MODIFIERS = by_split(
    "red young large striped rare foreign costly", "brown wild tiny famous local", "purple fierce huge pale ugly"
)
HAPPENINGS = by_split(
    "moved:moved slowly|appeared:appeared suddenly|fell:fell yesterday|disappeared:disappeared quickly|"
    "changed:changed overnight|looked old:looked old and tired|arrived:arrived early|were sold:were sold cheaply",
    "returned:returned twice|rested:rested quietly|were counted:were counted carefully|were dirty:were dirty and wet|"
    "got lost:got lost abroad",
    "survived:survived the winter|were photographed:were photographed secretly|grew:grew rapidly|"
    "remained:remained outdoors|seemed weak:seemed weak and ill",
    separator="|",
)
"""wider:narrower."""
