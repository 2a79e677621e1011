"""Will a model fit a GPU: weights + cache of one full request + overhead against what the engine may use.

`answer(Question(facts, settings, gpu))` gives every term and what would fit; `explain` and `line` put it in words. Pure, and
fails closed: what the formulas do not know is `Answer.unknown`, never a guess.
"""

from deployer.plan.fit.answer import Answer, answer, brief, longest, quick
from deployer.plan.fit.question import GIB, Gpu, Measured, Question, Settings, Unknown
from deployer.plan.fit.text import explain, gib, lacking, line

__all__ = [
    "GIB",
    "Answer",
    "Gpu",
    "Measured",
    "Question",
    "Settings",
    "Unknown",
    "answer",
    "brief",
    "explain",
    "gib",
    "lacking",
    "line",
    "longest",
    "quick",
]
