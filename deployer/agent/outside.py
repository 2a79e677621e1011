"""Asks an address outside this host for its headers, as uv and huggingface_hub would get there. Called by System.head."""

from __future__ import annotations

import base64
import ssl
import urllib.error
import urllib.request
from typing import Any, Dict, Optional
from urllib.parse import unquote, urlsplit, urlunsplit


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect is an answer; following it would hand the token on."""

    def redirect_request(self, *args: Any, **more: Any) -> Optional[urllib.request.Request]:
        return None


def head(url: str, headers: Dict[str, str], env: Dict[str, str], timeout: float) -> int:
    """The status. Raises OSError: urllib's URLError with its cause as `reason`, or a timeout."""
    parts = urlsplit(url)
    given = dict(headers)
    if parts.username is not None:
        pair = "%s:%s" % (unquote(parts.username), unquote(parts.password or ""))
        given["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode("ascii")
        parts = parts._replace(netloc=parts.netloc.rpartition("@")[2])
    request = urllib.request.Request(urlunsplit(parts), headers=given, method="HEAD")
    context = ssl.create_default_context(cafile=env.get("SSL_CERT_FILE"), capath=env.get("SSL_CERT_DIR"))
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler(_proxies(env, parts.netloc)), urllib.request.HTTPSHandler(context=context), _NoRedirect()
    )
    try:
        with opener.open(request, timeout=timeout) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return int(error.code)


def proxy(url: str, env: Dict[str, str]) -> str:
    """The one that the environment names for an address, in small letters; "" for none."""
    parts = urlsplit(url)
    return _proxies(env, parts.netloc.rpartition("@")[2]).get(parts.scheme, "").lower()


def _proxies(env: Dict[str, str], host: str) -> Dict[str, str]:
    """As libraries read them: small letters before capitals, NO_PROXY last."""
    named = {name: env.get(name + "_proxy") or env.get(name.upper() + "_PROXY") or "" for name in ("http", "https", "all", "no")}
    bypass: Any = vars(urllib.request)["proxy_bypass_environment"]  # not in the type stubs
    if named["no"] and bypass(host, {"no": named["no"]}):
        return {}
    return {scheme: named[scheme] or named["all"] for scheme in ("http", "https") if named[scheme] or named["all"]}
