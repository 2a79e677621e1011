"""`/v1/...` for clients that know a model and no deployment: requests go by the `model` in their body, `/v1/models` lists what
the caller may ask.

Every deployment brings fragments, small files beside its route; the host's agent puts those of one kind together before each
reload, in the order of their names. So a deployment comes and goes with its own files here too.
  .names    a map: the SHA-256 of a model's name → the deployment
  .entries  a map: the deployment → its models as JSON
  .listing  rules of the backend that answers /v1/models
"""

import hashlib
import json

from deployer.render.gateway.answers import answer, body
from deployer.render.gateway.model import KEY, Route
from deployer.render.quote import haproxy_word

BUFFER = 128 * 1024  # bytes that HAProxy holds of one request
BODY_MOST = 96 * 1024  # what of it a request's body may take when it is routed by its model


def fragments(route: Route) -> dict[str, str]:
    """By kind. A stopped one is not listed, and who asks for it hears that it is stopped."""
    if not route.public:
        return {}
    name = route.deployment
    models = (name, *(model for model in route.model_names if model != name))
    found = {"names": "".join(f"{hashlib.sha256(model.encode()).hexdigest()} {name}\n" for model in models)}
    if not route.stopped:
        found["entries"] = f"{name} {','.join(_entry(model) for model in models)}\n"
        found["listing"] = _listed(route)
    return found


def _entry(model: str) -> str:
    return f'{{"id":{json.dumps(model)},"object":"model","created":0,"owned_by":"deployer"}}'


def _listed(route: Route) -> str:
    """One rule that adds its entries when the caller may reach it."""
    condition = ""
    if not route.open:
        found = f"{KEY},map_str({haproxy_word(route.keys_path)}) -m found" if route.keys_path else "src 127.0.0.0/8 ::1"
        condition = f" if {{ {found} }}"
    entries = f"str({route.deployment}),map_str({haproxy_word(route.entries_path)})"
    rule = f"http-request set-var-fmt(txn.list) %[var(txn.list)],%[{entries}]{condition}"
    return f"    {rule}\n"


def host_fragments() -> dict[str, tuple[str, str]]:
    """What stands before and after the deployments' fragments, by kind."""
    rest = "%[var(txn.list),bytes(1)]"
    said = haproxy_word(f'{{"object":"list","data":[{rest}]}}')
    missing = "The API key is missing or wrong. Send it as: Authorization: Bearer YOUR_KEY"
    last = f"    http-request return status 200 content-type application/json lf-string {said}\n"
    none = answer(401, missing, "invalid_api_key", "unless { var(txn.list) -m found }", WWW_Authenticate="Bearer")
    note = "# made by deployer\n"
    return {"names": (note, note), "entries": (note, note), "listing": ("backend models\n", f"{none}\n{last}")}


def rules(models_map: str) -> str:
    """The frontend's: a request for /v1/... becomes one for its deployment's path."""
    most = (
        f"A request that is routed by its model may have at most {BODY_MOST} bytes. Send it to /DEPLOYMENT%[path,json(utf8s)], "
        "with the name of the deployment: that address has no such limit."
    )
    unknown = "There is no such model here. GET /v1/models lists what there is."
    large = haproxy_word(body(413, most, "request_too_large"))
    too_large = f"http-request return status 413 content-type application/json lf-string {large}"
    found = f"req.body,json_query('$.model'),digest(sha256),hex,lower,map_str({haproxy_word(models_map)})"
    return f"""\
    acl by_model path_beg /v1/
    acl models path -m str /v1/models
    {too_large} if by_model {{ req.hdr_val(content-length) gt {BODY_MOST} }}
    http-request wait-for-body time 30s at-least {BODY_MOST} if by_model {{ method POST }}
    {too_large} if by_model {{ req.body_len ge {BODY_MOST} }}
    http-request set-var(txn.to) {found} if by_model {{ method POST }}
{answer(404, unknown, "model_not_found", "if by_model !models !{ var(txn.to) -m found }")}
    http-request set-path /%[var(txn.to)]%[path] if by_model {{ var(txn.to) -m found }}
    use_backend %[str(models)] if models {{ method GET HEAD }}
"""
