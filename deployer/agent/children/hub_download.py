"""Fetches one snapshot. Run by `model.download` with the Python of an environment that has huggingface_hub; the job comes on
standard input, because it may hold a token. On failure the last line says {"error": class, "status", "message"}; `status`
is what the hub answered, or null.
"""

import json
import sys


def main() -> int:
    job = json.load(sys.stdin)
    from huggingface_hub import snapshot_download

    try:
        snapshot_download(
            job["repo"],
            revision=job["commit"],
            allow_patterns=job["files"],
            local_dir=job["directory"],
            endpoint=job["endpoint"],
            token=job["token"] or False,
            max_workers=4,
        )
    except Exception as error:  # noqa: BLE001  (the parent explains it to a person)
        status = getattr(getattr(error, "response", None), "status_code", None)
        print(json.dumps({"error": type(error).__name__, "status": status, "message": str(error)}))  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
