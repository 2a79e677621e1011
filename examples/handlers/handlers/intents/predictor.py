"""Which of the known phrases a text is most like. The phrases are the model; what they are compared with is a package."""

import json
import os

from rapidfuzz import fuzz, process


class Predictor:
    def load(self):
        with open(os.path.join(os.environ["MODEL_FILES_PATH"], "phrases.json"), encoding="utf-8") as file:
            self.phrases = json.load(file)
        self.least = float(os.environ["LEAST_SCORE"])

    def predict(self, request):
        texts = request.get("inputs")
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise Refusal("inputs must be a list of texts")
        return {"predictions": [self.nearest(text) for text in texts], "revision": os.environ["REVISION"]}

    def nearest(self, text):
        phrase, score, _ = process.extractOne(text.lower(), self.phrases, scorer=fuzz.token_set_ratio)
        return {"intent": self.phrases[phrase] if score >= self.least else None, "score": round(score, 1)}


class Refusal(Exception):
    status = 422  # what the client is answered with, in the words of the error
