"""What makes a model in an Ollama of its own and watches over it, as the text of a program. Called by engines.ollama.

Ollama has a store of models, filled over its API; a unit can only start a process. So the program starts `ollama serve` with a
store below the unit's cache, brings the file (docs/api.md of Ollama: "Push a Blob", "Create a Model"), gives it the deployment's
names, loads it, and ends as Ollama ends. Standard library, Python 3.9.
"""

PROGRAM = "serve.py"

SOURCE = r'''"""Starts `ollama serve` and makes a deployment's model in it. argv: its configuration."""

import fcntl
import glob
import hashlib
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import time


class Failed(Exception):
    pass


class Ollama:
    def __init__(self, config, child):
        self.host, self.port, self.child = config["host"], config["port"], child

    def ask(self, method, path, body=None, length=None, timeout=3600):
        """(status, answer). `body`: a mapping, or an open file of `length` bytes."""
        headers = {}
        if isinstance(body, dict):
            body, headers = json.dumps(body).encode(), {"Content-Type": "application/json"}
        elif body is not None:
            headers = {"Content-Length": str(length), "Content-Type": "application/octet-stream"}
        connection = http.client.HTTPConnection(self.host, self.port, timeout=timeout)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def must(self, what, method, path, body=None, length=None):
        try:
            status, answer = self.ask(method, path, body, length)
        except (OSError, http.client.HTTPException) as error:
            raise Failed("%s failed: %s" % (what, error))
        found = [json.loads(line) for line in answer.splitlines() if line.strip().startswith(b"{")]
        wrong = next((one["error"] for one in found if one.get("error")), None)
        if status >= 400 or wrong:
            raise Failed("%s failed: %s" % (what, wrong or answer.decode("utf-8", "replace")[:500] or "HTTP %d" % status))
        return found[-1] if found else {}

    def wait(self, seconds):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if self.child.poll() is not None:
                raise Failed("ollama serve ended with exit code %d" % self.child.returncode)
            try:
                if self.ask("GET", "/api/version", timeout=5)[0] == 200:
                    return
            except (OSError, http.client.HTTPException):
                pass
            time.sleep(0.05)
        raise Failed("ollama serve did not answer within %d s" % seconds)


def make(ollama, config):
    digest, size = hashed(config["file"])
    blob = "/api/blobs/sha256:" + digest
    if ollama.ask("HEAD", blob)[0] != 200:
        print("bringing %s into the store" % os.path.basename(config["file"]), flush=True)
        with open(config["file"], "rb") as file:
            ollama.must("bringing the file", "POST", blob, file, size)
    print("making the model", flush=True)
    name = config["names"][0]
    files = {os.path.basename(config["file"]): "sha256:" + digest}
    ollama.must("making the model", "POST", "/api/create", {**config["create"], "model": name, "files": files, "stream": False})
    for other in config["names"][1:]:
        ollama.must("naming the model %s" % other, "POST", "/api/copy", {"source": name, "destination": other})
    print("loading the model", flush=True)
    load = {"model": name, "keep_alive": config["keep_alive"], "stream": False}  # without a prompt it only loads
    ollama.must("loading the model", "POST", "/api/generate", load)
    if config["whole"]:
        for one in ollama.must("asking what is loaded", "GET", "/api/ps").get("models", []):
            if one.get("size_vram", 0) < one.get("size", 0):
                what = "the model does not fit on the GPU: %.1f of %.1f GiB are there"
                raise Failed(what % (one["size_vram"] / 2**30, one["size"] / 2**30))
    wanted = {full(one) for one in [*config["names"], config["marker"]]}
    for one in ollama.must("asking what is there", "GET", "/api/tags").get("models", []):
        if full(one["name"]) not in wanted:
            ollama.must("forgetting %s" % one["name"], "DELETE", "/api/delete", {"model": one["name"]})
    # last: by this name the unit knows that all of the above is done
    ollama.must("saying that it is ready", "POST", "/api/copy", {"source": name, "destination": config["marker"]})


def full(name):
    return name if ":" in name.rpartition("/")[2] else name + ":latest"


def hashed(path):
    found, size = hashlib.sha256(), 0
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            found.update(block)
            size += len(block)
    return found.hexdigest(), size


def own_store(store):
    """Holds this store as long as the process lives, and removes those that nobody holds."""
    os.makedirs(store, exist_ok=True)
    mine = open(os.path.join(store, ".held"), "w")
    fcntl.flock(mine, fcntl.LOCK_EX)
    for other in glob.glob(os.path.join(os.path.dirname(store), "models-*")):
        if other == store:
            continue
        with open(os.path.join(other, ".held"), "a") as held:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue
            shutil.rmtree(other, ignore_errors=True)
    return mine


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        config = json.load(file)
    held = own_store(os.environ["OLLAMA_MODELS"])
    began = time.monotonic()
    child = subprocess.Popen([config["program"], "serve"])
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: child.terminate())
    try:
        ollama = Ollama(config, child)
        ollama.wait(60)
        make(ollama, config)
        print("ready after %.1f s" % (time.monotonic() - began), flush=True)
    except (Failed, OSError) as error:
        if child.poll() is None or child.returncode > 0:
            print("ollama: %s" % error, file=sys.stderr, flush=True)
            child.terminate()
            child.wait()
            sys.exit(1)
    code = child.wait()
    held.close()
    sys.exit(code if code >= 0 else 0)


if __name__ == "__main__":
    main()
'''
