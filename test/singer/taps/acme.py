"""A tap for the invented CRM Acme (test/conformance/acme.ts), as careful as a good tap is: it pages by a keyset, writes a
STATE after each page, tells of deletes in the way taps do, and says out loud on stderr whatever it is told.

config: {"url", "token", "page", "timeout" in seconds}
"""

import http.client
import json
import sys
from datetime import datetime, timezone
from urllib.parse import quote, urlsplit


def say(message):
    # Numbers go out as they came in.
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def get(config, path):
    address = urlsplit(config["url"])
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=config["timeout"])
    connection.request("GET", path, headers={"authorization": "Bearer " + config["token"]})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    if answer.status != 200:
        print("ERROR %s %s" % (path, text), file=sys.stderr)
        names = {401: "Client Error: Unauthorized", 403: "Client Error: Forbidden"}
        raise SystemExit("HTTP %d %s for %s" % (answer.status, names.get(answer.status, "Error"), path))
    return json.loads(text)


SCHEMA = {
    "type": "object",
    "properties": {
        "id": {"type": "integer"},
        "name": {"type": ["null", "string"]},
        "employees": {"type": ["null", "integer"]},
        "updated_at": {"type": ["null", "string"], "format": "date-time"},
    },
}


def milliseconds(text):
    moment = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)
    return (int(moment.timestamp()) * 1000) + moment.microsecond // 1000


def sync(config, state):
    say({"type": "SCHEMA", "stream": "companies", "schema": SCHEMA, "key_properties": ["id"]})
    since = state.get("bookmarks", {}).get("companies", {}).get("updated_at")
    cursor, path = None, "/companies?limit=%d" % config["page"]
    if since is not None:
        path += "&updated_since=" + quote(since)
    while True:
        page = get(config, path + ("" if cursor is None else "&cursor=" + cursor))["results"]
        for item in page:
            gone = item.get("archived") or item.get("merged_into") is not None
            record = {"id": item["id"], "name": item["name"], "employees": item["stats"]["employees"]}
            record["updated_at"] = item["updated_at"]
            if gone:
                record["_sdc_deleted_at"] = item["updated_at"]
            say({"type": "RECORD", "stream": "companies", "record": record})
        if page:
            last = page[-1]
            cursor = "%d_%d" % (milliseconds(last["updated_at"]), last["id"])
            say({"type": "STATE", "value": {"bookmarks": {"companies": {"updated_at": last["updated_at"]}}}})
        if len(page) < config["page"]:
            return


def main():
    words = sys.argv[1:]
    options = {words[at]: words[at + 1] for at in range(0, len(words) - 1) if words[at].startswith("--")}
    with open(options["--config"]) as file:
        config = json.load(file)
    if "--discover" in words:
        entry = {"tap_stream_id": "companies", "stream": "companies", "schema": SCHEMA, "key_properties": ["id"]}
        entry["metadata"] = [{"breadcrumb": [], "metadata": {"forced-replication-method": "INCREMENTAL"}}]
        print(json.dumps({"streams": [entry]}))
        return
    state = {}
    if "--state" in options:
        with open(options["--state"]) as file:
            state = json.load(file)
    sync(config, state)


main()
