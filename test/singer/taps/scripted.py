"""A tap that does what its configuration tells it to: the misbehaving tap of the tests.

config: {"runs": [[step, ...], ...], "folder": "…", "streams": {…}, "discovers": …}
The n-th run plays the n-th list of steps (the last one again from then on); runs are counted by files in `folder`.
Each run leaves what it was called with in folder/run-<n>.json. Steps:
  {"say": message}  {"print": text}  {"write": text, no end of line}  {"stderr": text}  {"exit": code}
  {"hang": true}  {"alone": seconds}: fails when another run does the same  {"mark": file}: the count, now and then
  {"ignore": "SIGTERM"}  {"spawn": true}: a child that outlives it  {"rewrite": {…}}: into its configuration
  {"daemon": true}: a child in a session of its own that holds its output open
  {"repeat": n, "steps": [...]}: "%d" in a text becomes the count
"""

import json
import os
import signal
import subprocess
import sys
import time


def arguments():
    found, words = {}, sys.argv[1:]
    while words:
        word = words.pop(0)
        found[word] = words.pop(0) if words and not words[0].startswith("--") else True
    return found


def out(text):
    sys.stdout.write(text)
    sys.stdout.flush()


def play(step, options, config, count=0):
    if "repeat" in step:
        for number in range(step["repeat"]):
            for inner in step["steps"]:
                play(inner, options, config, number)
    if "say" in step:
        out(json.dumps(step["say"]).replace('"%d"', str(count)).replace("%d", str(count)) + "\n")
    if "print" in step:
        out(step["print"] + "\n")
    if "write" in step:
        out(step["write"])
    if "stderr" in step:
        print(step["stderr"], file=sys.stderr, flush=True)
    if "ignore" in step:
        signal.signal(getattr(signal, step["ignore"]), signal.SIG_IGN)
    if "spawn" in step:
        child = subprocess.Popen([sys.executable, "-c", "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)"])
        with open(os.path.join(config["folder"], "child"), "w") as file:
            file.write(str(child.pid))
    if "daemon" in step:
        child = subprocess.Popen(["sleep", "600"], start_new_session=True)
        with open(os.path.join(config["folder"], "child"), "w") as file:
            file.write(str(child.pid))
    if "rewrite" in step:
        with open(options["--config"], "w") as file:
            json.dump({**config, **step["rewrite"]}, file)
    if "alone" in step:
        # Fails if another run is at this very place.
        busy = os.open(os.path.join(config["folder"], "busy"), os.O_CREAT | os.O_EXCL)
        time.sleep(step["alone"])
        os.close(busy)
        os.unlink(os.path.join(config["folder"], "busy"))
    if "mark" in step and count % 1000 == 0:
        with open(os.path.join(config["folder"], step["mark"]), "w") as file:
            file.write(str(count))
    if "hang" in step:
        while True:
            time.sleep(60)
    if "exit" in step:
        sys.stdout.flush()
        os._exit(step["exit"])


def main():
    options = arguments()
    with open(options["--config"]) as file:
        config = json.load(file)
    if "--discover" in options:
        how = config.get("discovers", "catalog")
        if how == "refuses":
            print("tap: error: unrecognized arguments: --discover", file=sys.stderr)
            sys.exit(2)
        if how == "crashes":
            print("CRITICAL 401 Client Error: Unauthorized for url: /me", file=sys.stderr)
            sys.exit(1)
        streams = [{"tap_stream_id": name, "stream": name, **entry} for name, entry in config["streams"].items()]
        print(json.dumps({"streams": streams}, indent=2))
        return
    number = len([name for name in os.listdir(config["folder"]) if name.startswith("run-")]) + 1

    def read(name):
        return json.load(open(options[name])) if name in options else None

    seen = {"flags": sorted(options), "pid": os.getpid(), "config": config, "state": read("--state")}
    seen["catalog"] = read("--catalog") or read("--properties")
    seen["stateText"] = open(options["--state"]).read() if "--state" in options else None
    seen["environment"] = sorted(os.environ)
    seen["mode"] = oct(os.stat(options["--config"]).st_mode)
    part = os.path.join(config["folder"], "part")
    with open(part, "w") as file:
        json.dump(seen, file)
    os.rename(part, os.path.join(config["folder"], "run-%d.json" % number))
    runs = config["runs"]
    for step in runs[min(number, len(runs)) - 1]:
        play(step, options, config)


main()
