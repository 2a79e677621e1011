"""Puts a sentence before every conversation, and cuts what follows the first line of an answer."""

GREETING = {"role": "system", "content": "Answer politely, in one line."}


class Transformer:
    def preprocess(self, request):
        if "messages" in request:
            request["messages"] = [GREETING, *request["messages"]]
        return request

    def postprocess(self, response, request):
        for choice in response.get("choices", []):
            if "message" in choice:
                choice["message"]["content"] = choice["message"]["content"].strip().split("\n")[0]
        return response
