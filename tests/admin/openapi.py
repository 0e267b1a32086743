"""The rules of OpenAPI 3.1 as far as a document of ours uses them, strictly: what is not known here is refused.

    faults = openapi.faults(document)               # sentences; none: it is good
    for o in openapi.operations(document): ...      # o.path, o.method, o.id, o.rights, o.parameters, o.responses
    o.response(200)                                 # what is said of a status, or the default
    openapi.check(document, schema, value)          # raises when VALUE is not as SCHEMA says, or holds more
"""

import json
import re

from jsonschema import Draft202012Validator

METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}

# Fixed fields of each object, those that have to be there with a "!".
FIELDS = {
    "document": "openapi! info! servers security tags paths! components!",
    "info": "title! version! description summary license contact",
    "server": "url! description variables",
    "tag": "name! description",
    "operation": "operationId! tags! summary! description parameters responses! security",
    "parameter": "name! in! description! required schema! example",
    "response": "description! headers content",
    "header": "description! schema!",
    "media": "schema! example!",
    "components": "securitySchemes! parameters responses! schemas!",
    "scheme": "type! scheme! description",
}


def resolve(doc, thing):
    """What a reference stands for; a schema's own words beside it are kept by check()."""
    while isinstance(thing, dict) and "$ref" in thing:
        found = doc
        for part in thing["$ref"].removeprefix("#/").split("/"):
            found = found[part.replace("~1", "/").replace("~0", "~")]
        thing = found
    return thing


def closed(schema):
    """The same schema, whose objects hold nothing but what they describe."""
    if isinstance(schema, list):
        return [closed(s) for s in schema]
    if not isinstance(schema, dict):
        return schema
    out = {k: closed(v) for k, v in schema.items()}
    if isinstance(out.get("properties"), dict) and "type" in out:
        out.setdefault("additionalProperties", False)
    return out


def check(doc, schema, value):
    components = {"schemas": closed(doc["components"]["schemas"])}
    Draft202012Validator({**closed(schema), "components": components}).validate(value)


class Operation:
    def __init__(self, doc, path, method):
        self.doc, self.path, self.method = doc, path, method.upper()
        self.raw = doc["paths"][path][method]
        self.id = self.raw.get("operationId")
        self.parameters = [resolve(doc, p) for p in self.raw.get("parameters", [])]
        self.responses = {k: resolve(doc, v) for k, v in self.raw.get("responses", {}).items()}
        security = self.raw.get("security", doc.get("security", []))
        self.rights = security[0].get("token", []) if security else []

    def query(self):
        return [p for p in self.parameters if p["in"] == "query"]

    def response(self, status):
        return self.responses.get(str(status)) or self.responses["default"]


def operations(doc):
    return [Operation(doc, path, method) for path, item in doc["paths"].items() for method in item if method in METHODS]


# ---- the rules -------------------------------------------------------------------------------------------------------


class Rules:
    def __init__(self, doc):
        self.doc, self.faults = doc, []

    def fault(self, where, text):
        self.faults.append(f"{where}: {text}")

    def fields(self, kind, where, thing):
        words = FIELDS[kind].split()
        known = {w.rstrip("!") for w in words}
        if not isinstance(thing, dict):
            return self.fault(where, f"is no {kind}")
        for name in thing.keys() - known:
            self.fault(where, f"a {kind} has no field {name}")
        for name in {w[:-1] for w in words if w.endswith("!")} - thing.keys():
            self.fault(where, f"a {kind} needs a field {name}")

    def references(self):
        used = set(re.findall(r'"\$ref": "([^"]*)"', json.dumps(self.doc)))
        for ref in used:
            try:
                resolve(self.doc, {"$ref": ref})
            except (KeyError, TypeError):
                self.fault(ref, "stands for nothing")
        for kind in ("parameters", "responses", "schemas"):
            for name in self.doc["components"].get(kind, {}):
                if f"#/components/{kind}/{name}" not in used:
                    self.fault(name, "nothing refers to it")

    def example(self, where, schema, example):
        try:
            Draft202012Validator.check_schema(schema)
            check(self.doc, schema, example)
        except Exception as e:
            self.fault(where, f"the example is not as the schema: {e}")

    def parameter(self, where, p):
        self.fields("parameter", where, p)
        if p.get("in") not in ("query", "header", "path"):
            self.fault(where, f"stands in {p.get('in')}")
        if p.get("in") == "path" and not p.get("required"):
            self.fault(where, "what is in the path is required")
        if "example" in p:
            self.example(where, p["schema"], p["example"])
        else:
            self.fault(where, "has no example")

    def response(self, where, status, r):
        self.fields("response", where, r)
        if not re.fullmatch(r"default|[1-5]\d\d", status):
            self.fault(where, "is no status")
        for name, header in r.get("headers", {}).items():
            self.fields("header", f"{where} {name}", header)
        for kind, media in r.get("content", {}).items():
            self.fields("media", f"{where} {kind}", media)
            self.example(f"{where} {kind}", media.get("schema"), media.get("example"))

    def operation(self, o):
        where = f"{o.method} {o.path}"
        self.fields("operation", where, o.raw)
        names = [(p["name"], p["in"]) for p in o.parameters]
        if len(names) != len(set(names)):
            self.fault(where, "has a parameter twice")
        if {n for n, place in names if place == "path"} != set(re.findall(r"{(.*?)}", o.path)):
            self.fault(where, "its path and its parameters do not fit")
        for p in o.parameters:
            self.parameter(f"{where} {p['name']}", p)
        for status, r in o.responses.items():
            self.response(f"{where} {status}", status, r)
        if "default" not in o.responses or not any(s.startswith("2") for s in o.responses):
            self.fault(where, "tells no success, or no default")
        for tag in o.raw.get("tags", []):
            if tag not in [t["name"] for t in self.doc["tags"]]:
                self.fault(where, f"the tag {tag} is not declared")
        for one in o.raw.get("security", self.doc["security"]):
            if set(one) != {"token"} or one["token"] not in (["read"], ["write"]):
                self.fault(where, "wants no right that there is")

    def all(self):
        doc = self.doc
        self.fields("document", "the document", doc)
        self.fields("info", "info", doc.get("info"))
        self.fields("components", "components", doc.get("components"))
        if self.faults:
            return self.faults
        if not re.fullmatch(r"3\.1\.\d+", doc["openapi"]):
            self.fault("openapi", "is not 3.1")
        for server in doc["servers"]:
            self.fields("server", "servers", server)
        for tag in doc["tags"]:
            self.fields("tag", "tags", tag)
        for name, scheme in doc["components"]["securitySchemes"].items():
            self.fields("scheme", name, scheme)
        for name, schema in doc["components"]["schemas"].items():
            Draft202012Validator.check_schema(schema)
        for path, item in doc["paths"].items():
            if not path.startswith("/") or item.keys() - METHODS:
                self.fault(path, "is no path with methods")
        self.references()
        every = operations(doc)
        for o in every:
            self.operation(o)
        if len({o.id for o in every}) != len(every):
            self.fault("operationId", "is there twice")
        return self.faults


def faults(doc):
    return Rules(doc).all()
