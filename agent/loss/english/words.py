"""What a word can be, its singular or base form, and its synonym: the lexicon."""

from __future__ import annotations

from functools import cache, lru_cache
from importlib.resources import files

FUNCTION_WORDS: dict[str, frozenset[str]] = {
    "determiner": frozenset(
        [
            "a",
            "an",
            "the",
            "this",
            "that",
            "these",
            "those",
            "my",
            "your",
            "his",
            "her",
            "its",
            "our",
            "their",
            "some",
            "any",
            "each",
            "every",
            "another",
            "both",
            "all",
            "either",
            "no",
            "which",
            "what",
            "whose",
            "such",
            "half",
        ]
    ),
    "pronoun": frozenset(
        [
            "i",
            "you",
            "he",
            "she",
            "it",
            "we",
            "they",
            "me",
            "him",
            "us",
            "them",
            "who",
            "whom",
            "someone",
            "somebody",
            "something",
            "anyone",
            "anybody",
            "anything",
            "everyone",
            "everybody",
            "everything",
            "nobody",
            "nothing",
            "none",
            "himself",
            "herself",
            "itself",
            "myself",
            "yourself",
            "themselves",
            "ourselves",
            "mine",
            "yours",
            "hers",
            "ours",
            "theirs",
            "one",
            "oneself",
            "there",
        ]
    ),
    "preposition": frozenset(
        [
            "of",
            "in",
            "on",
            "at",
            "by",
            "with",
            "from",
            "to",
            "into",
            "onto",
            "over",
            "under",
            "above",
            "below",
            "beneath",
            "beside",
            "besides",
            "between",
            "behind",
            "near",
            "against",
            "along",
            "across",
            "around",
            "through",
            "toward",
            "towards",
            "during",
            "before",
            "after",
            "inside",
            "outside",
            "within",
            "without",
            "upon",
            "about",
            "off",
            "out",
            "up",
            "down",
            "for",
            "as",
            "past",
            "beyond",
            "among",
            "amongst",
            "amid",
            "underneath",
            "atop",
            "via",
            "per",
            "like",
            "than",
            "until",
            "since",
            "despite",
            "next",
            "alongside",
        ]
    ),
    "conjunction": frozenset(
        [
            "and",
            "or",
            "but",
            "nor",
            "so",
            "yet",
            "if",
            "because",
            "although",
            "though",
            "while",
            "when",
            "where",
            "whether",
            "unless",
        ]
    ),
    "auxiliary": frozenset(
        [
            "is",
            "are",
            "was",
            "were",
            "be",
            "been",
            "being",
            "am",
            "has",
            "have",
            "had",
            "having",
            "do",
            "does",
            "did",
            "will",
            "would",
            "shall",
            "should",
            "can",
            "could",
            "may",
            "might",
            "must",
            "cannot",
            "isn't",
            "aren't",
            "wasn't",
            "weren't",
            "hasn't",
            "haven't",
            "hadn't",
            "don't",
            "doesn't",
            "didn't",
            "won't",
            "wouldn't",
            "shan't",
            "shouldn't",
            "can't",
            "couldn't",
            "mustn't",
            "ain't",
            "it's",
            "there's",
            "that's",
            "i'm",
            "you're",
            "we're",
            "they're",
            "i've",
            "we've",
            "they've",
            "he'd",
            "she'd",
            "i'd",
            "we'd",
            "they'd",
            "you'd",
            "i'll",
            "you'll",
            "he'll",
            "she'll",
            "we'll",
            "they'll",
            "it'll",
        ]
    ),
    "adverb": frozenset(
        [
            "not",
            "never",
            "very",
            "too",
            "also",
            "just",
            "only",
            "even",
            "still",
            "already",
            "again",
            "always",
            "often",
            "sometimes",
            "here",
            "now",
            "then",
            "quite",
            "rather",
            "almost",
            "how",
            "why",
            "more",
            "most",
            "less",
            "least",
            "much",
            "ever",
            "soon",
            "away",
            "back",
            "once",
            "twice",
            "else",
            "together",
        ]
    ),
}
_CLASS = {word: kind for kind, words in FUNCTION_WORDS.items() for word in words}

_PLURALS = {
    **{f"{m}men": f"{m}man" for m in ("", "wo", "fire", "police", "fisher", "snow", "sales", "gentle", "post", "work")},
    "people": "person",
    "children": "child",
    "feet": "foot",
    "teeth": "tooth",
    "geese": "goose",
    "mice": "mouse",
    "lice": "louse",
    "oxen": "ox",
    "dice": "die",
    "leaves": "leaf",
    "wolves": "wolf",
    "knives": "knife",
    "wives": "wife",
    "lives": "life",
    "shelves": "shelf",
    "loaves": "loaf",
    "calves": "calf",
    "halves": "half",
    "scarves": "scarf",
    "hooves": "hoof",
    "thieves": "thief",
    "elves": "elf",
    "cacti": "cactus",
    "buses": "bus",
    "glasses": "glass",
    "grandchildren": "grandchild",
    "selves": "self",
    "pence": "penny",
    "brethren": "brother",
}
_SAME_PLURAL = frozenset(
    [
        "sheep",
        "deer",
        "fish",
        "aircraft",
        "scissors",
        "pants",
        "jeans",
        "shorts",
        "trousers",
        "glasses",
        "clothes",
        "series",
        "species",
        "news",
        "grass",
        "bus",
        "gas",
        "dress",
        "cross",
        "boss",
        "mass",
        "class",
        "canvas",
        "lens",
        "chess",
        "mattress",
        "princess",
        "waitress",
        "actress",
        "compass",
        "cactus",
        "octopus",
        "hippopotamus",
        "iris",
        "virus",
        "tennis",
        "bass",
        "moss",
        "kiss",
        "glass",
        "brass",
        "christmas",
        "address",
        "process",
        "business",
        "witness",
        "circus",
        "walrus",
        "lotus",
        "focus",
        "bonus",
        "campus",
        "census",
        "chorus",
        "citrus",
        "crocus",
        "genius",
        "fungus",
        "platypus",
        "rhinoceros",
        "hibiscus",
        "asparagus",
        "toss",
        "pass",
        "loss",
        "guess",
        "jesus",
        "this",
        "is",
        "was",
        "has",
        "his",
        "its",
        "yes",
        "us",
        "thus",
        "plus",
        "always",
        "perhaps",
        "sometimes",
        "james",
        "charles",
        "paris",
    ]
)
SYNONYMS = {
    "automobile": "car",
    "auto": "car",
    "bike": "bicycle",
    "motorbike": "motorcycle",
    "sofa": "couch",
    "airplane": "plane",
    "aeroplane": "plane",
    "aircraft": "plane",
    "television": "tv",
    "telephone": "phone",
    "cellphone": "phone",
    "cell_phone": "phone",
    "mobile_phone": "phone",
    "smartphone": "phone",
    "photo": "picture",
    "photograph": "picture",
    "image": "picture",
    "mom": "mother",
    "mum": "mother",
    "dad": "father",
    "kid": "child",
    "guy": "man",
    "gentleman": "man",
    "lady": "woman",
    "bunny": "rabbit",
    "stone": "rock",
    "shop": "store",
    "kitty": "cat",
    "doggy": "dog",
    "puppy_dog": "dog",
    "pony": "horse",
    "home": "house",
    "sunshade": "umbrella",
    "parasol": "umbrella",
    "fridge": "refrigerator",
    "footwear": "shoe",
    "hound": "dog",
    "feline": "cat",
    "pussycat": "cat",
    "sailing_boat": "sailboat",
    "sailing_ship": "sailboat",
    "mobile": "phone",
    "sidewalk": "pavement",
    "motorcar": "car",
    "taxicab": "taxi",
    "cab": "taxi",
    "lorry": "truck",
    "infant": "baby",
    "fir": "tree",
    "evergreen": "tree",
    "evergreen_tree": "tree",
    "deciduous_tree": "tree",
    "rubbish_bin": "trash_can",
    "garbage_can": "trash_can",
    "soccer_ball": "football",
    "gray": "grey",
    "airliner": "plane",
    "jet": "plane",
    "blossom": "flower",
    "bloom": "flower",
    "woods": "forest",
    "hen": "chicken",
}
COMPOUNDS = frozenset(
    [
        "traffic_light",
        "traffic_lights",
        "fire_hydrant",
        "stop_sign",
        "parking_meter",
        "teddy_bear",
        "wine_glass",
        "hot_dog",
        "cell_phone",
        "mobile_phone",
        "baseball_bat",
        "baseball_glove",
        "tennis_racket",
        "hair_drier",
        "hair_dryer",
        "potted_plant",
        "dining_table",
        "fire_truck",
        "fire_engine",
        "palm_tree",
        "christmas_tree",
        "pine_tree",
        "apple_tree",
        "polar_bear",
        "ice_cream",
        "hot_air_balloon",
        "soccer_ball",
        "tennis_ball",
        "police_car",
        "street_light",
        "street_lamp",
        "trash_can",
        "garbage_can",
        "rubbish_bin",
        "coffee_cup",
        "tea_cup",
        "sailing_boat",
        "sailing_ship",
        "window_sill",
        "swimming_pool",
        "school_bus",
        "living_room",
        "evergreen_tree",
        "deciduous_tree",
        "rain_coat",
        "french_fries",
        "fried_egg",
        "alarm_clock",
        "light_bulb",
        "birthday_cake",
        "cowboy_hat",
        "top_hat",
        "wrist_watch",
        "race_car",
        "racing_car",
        "sports_car",
        "post_office",
        "post_box",
        "mail_box",
    ]
)


@cache
def lexicon() -> dict[str, str]:
    """Codes by word; the letters are explained at the head of `words.txt`. About 80,000 words, 60 ms once."""
    found: dict[str, str] = {}
    text = files(__package__).joinpath("words.txt").read_text("utf-8")
    for line in text.splitlines():
        if not line.startswith("#"):
            code, _, words = line.partition(": ")
            found.update(dict.fromkeys(words.split(" "), code))
    return found


def function_class(word: str) -> str:
    """`determiner`, `pronoun`, … of a closed-class word; "" for any other."""
    return _CLASS.get(word, "")


@lru_cache(maxsize=65536)
def codes(word: str) -> str:
    """What a word can be, itself or its base form, most frequent first; "" for an unknown word."""
    table = lexicon()
    if word in table:
        return table[word]
    single = singular(word)
    if single != word and single in table:
        return "".join(c for c in table[single] if c in "olav") or table[single]
    base = verb_base(word)
    if base != word:
        return "vj" if word.endswith(("ed", "ing")) else "v"
    for ending, cut in (("est", 3), ("er", 2), ("ly", 2)):
        if word.endswith(ending) and len(word) > cut + 2:
            stem = word[:-cut]
            if any("j" in table.get(s, "") for s in (stem, stem + "e", stem[:-1], stem[:-1] + "y")):
                return "r" if ending == "ly" else "j"
    return ""


@lru_cache(maxsize=65536)
def singular(word: str) -> str:
    """The singular of a noun, by rule and lexicon: `boxes` → `box`, `people` → `person`."""
    if "_" in word:
        head, _, last = word.rpartition("_")
        return f"{head}_{singular(last)}"
    if word in _PLURALS:
        return _PLURALS[word]
    if word in _SAME_PLURAL or len(word) < 4 or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return word
    table = lexicon()
    stems = [word[:-1]]
    if word.endswith("ies"):
        stems = [word[:-3] + "y", word[:-1]]
    elif word.endswith("ves"):
        stems = [word[:-1], word[:-3] + "f", word[:-3] + "fe"]
    elif word.endswith(("ses", "xes", "zes", "ches", "shes", "oes")):
        stems = [word[:-1], word[:-2], word[:-3]] if word.endswith(("sses", "zzes")) else [word[:-2], word[:-1]]
        if word[:-1] in table and word[:-2] not in table:
            stems.reverse()
    for stem in stems:
        if any(c in "ola" for c in table.get(stem, "")):
            return stem
    if word in table:
        return word
    return stems[0]


@lru_cache(maxsize=65536)
def verb_base(word: str) -> str:
    """The base of a regular verb form the lexicon knows: `barking` → `bark`; otherwise the word."""
    table = lexicon()
    for ending in ("ing", "ed", "es", "s"):
        if word.endswith(ending) and len(word) > len(ending) + 1:
            stem = word[: -len(ending)]
            doubled = stem[:-1] if len(stem) > 2 and stem[-1] == stem[-2] else stem
            for base in (stem, stem + "e", doubled, stem[:-1] + "y" if stem.endswith("i") else stem):
                if "v" in table.get(base, ""):
                    return base
    return word


def canonical(noun: str) -> str:
    """The name a thing goes by here: singular, and one word for its synonyms."""
    single = singular(noun.replace(" ", "_").replace("-", "_"))
    return SYNONYMS.get(single, single)


def is_plural(word: str) -> bool:
    """A plural form, as far as its spelling tells."""
    return singular(word) != word
