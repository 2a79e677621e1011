"""Endless short chats made from the text files beside this module. `script/train-tiny` reads them.

A chat is a list of (role, text). Everything is drawn from one seeded `random.Random`: the same seed, the same chats.
"""

import random
from collections.abc import Callable
from pathlib import Path

Chat = list[tuple[str, str]]

HERE = Path(__file__).parent
ASK = (
    "What is {}?",
    "What is {}?",
    "what is {}?",
    "Explain {}.",
    "Explain what {} is.",
    "Tell me about {}.",
    "Can you explain {}?",
    "Please explain {} in one sentence.",
    "What does {} mean?",
    "What do you know about {}?",
)
CAPITAL = (
    "What is the capital of {}?",
    "Which city is the capital of {}?",
    "what is the capital of {}?",
    "Name the capital of {}.",
)
SYSTEM = ("You are a helpful assistant.", "You are a friendly assistant.", "Answer in one short sentence.", "You are tiny-chat.")
UNKNOWN = "I do not know that. I am a very small model, so please ask me something simple."
NAMES = ("Anna", "Ben", "Clara", "David", "Emma", "Felix", "Greta", "Henry")
ANIMALS = ("cat", "dog", "horse", "bird", "fish", "llama", "bee", "whale")
PLACES = ("in a small town", "near the sea", "in a dark forest", "on a high mountain", "in a quiet server room")
DEEDS = ("found an old book", "met a friend", "lost a key", "saw a bright star", "fixed a small bug", "heard a song")
ENDS = ("They were happy ever after.", "And then they went home.", "That was a good day.", "Nobody ever forgot it.")
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def _pairs(name: str) -> list[tuple[str, str]]:
    lines = (HERE / name).read_text(encoding="utf-8").splitlines()
    return [(left.strip(), right.strip()) for left, _, right in (line.partition("::") for line in lines) if right]


SUBJECTS, QUESTIONS, CAPITALS = _pairs("subjects.txt"), _pairs("questions.txt"), _pairs("capitals.txt")


def _subject(rng: random.Random) -> tuple[str, str]:
    subject, answer = rng.choice(SUBJECTS)
    return rng.choice(ASK).format(subject), answer


def _question(rng: random.Random) -> tuple[str, str]:
    return rng.choice(QUESTIONS)


def _capital(rng: random.Random) -> tuple[str, str]:
    country, city = rng.choice(CAPITALS)
    return rng.choice(CAPITAL).format(country), f"The capital of {country} is {city}."


def _sum(rng: random.Random) -> tuple[str, str]:
    left = rng.randint(0, 5)
    right = rng.randint(0, 5)
    return (
        rng.choice(("What is {} plus {}?", "How much is {} plus {}?")).format(NUMBERS[left], NUMBERS[right]),
        f"{NUMBERS[left].capitalize()} plus {NUMBERS[right]} is {NUMBERS[left + right]}.",
    )


def story(rng: random.Random, animal: str) -> str:
    one, two = rng.sample(NAMES, 2)
    sentences = [f"Once upon a time there was a {animal} that lived with {one} {rng.choice(PLACES)}."]
    for who in (one, two)[: rng.randint(1, 2)]:
        sentences.append(f"One day {who} {rng.choice(DEEDS)} {rng.choice(PLACES)}.")
    sentences.append(f"The {animal} was very glad. {rng.choice(ENDS)}")
    return " ".join(sentences)


def _story(rng: random.Random) -> tuple[str, str]:
    animal = rng.choice(ANIMALS)
    if rng.random() < 0.4:
        return rng.choice(("Tell me a story.", "Write a story.", "Tell me a short story.")), story(rng, animal)
    return rng.choice(("Tell me a story about a {}.", "Write a short story about a {}.")).format(animal), story(rng, animal)


def _nonsense(rng: random.Random) -> tuple[str, str]:
    def word() -> str:
        return "".join(rng.choice("bdfgklmnprstvwz") + rng.choice("aeiou") for _ in range(rng.randint(2, 4))) + rng.choice("nrst")

    ask = rng.choice((*ASK, "Who is {}?", "Where is {}?", "How do I {}?", "Why is {} so {}?", "Who won the {} in {}?"))
    return ask.replace("{}", rng.choice(("a ", "the ", "", "")) + "{}", 1).format(word(), word()), UNKNOWN


KINDS: tuple[tuple[Callable[[random.Random], tuple[str, str]], float], ...] = (
    (_subject, 10),
    (_question, 7),
    (_capital, 2),
    (_sum, 2),
    (_story, 1.5),
    (_nonsense, 1.5),
)


def exchange(rng: random.Random) -> tuple[str, str]:
    """One question and its answer; the question is sometimes typed carelessly."""
    makers, weights = zip(*KINDS, strict=True)
    ask, answer = rng.choices(makers, weights)[0](rng)
    careless = rng.random()
    if careless < 0.1:
        ask = ask.lower()
    elif careless < 0.2:
        ask = ask.rstrip("?.!")
    return ask, answer


def chat(rng: random.Random) -> Chat:
    """One to three exchanges, sometimes after a system message."""
    messages: Chat = [("system", rng.choice(SYSTEM))] if rng.random() < 0.3 else []
    for _ in range(rng.choices((1, 2, 3), (8, 3, 1))[0]):
        ask, answer = exchange(rng)
        messages += [("user", ask), ("assistant", answer)]
    return messages


def prose(rng: random.Random) -> str:
    """Plain text for completions without a chat."""
    if rng.random() < 0.4:
        return story(rng, rng.choice(ANIMALS))
    return " ".join(answer for _, answer in rng.sample(SUBJECTS, 3))
