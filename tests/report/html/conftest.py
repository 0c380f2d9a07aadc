# SPDX-License-Identifier: Apache-2.0
import csv
import json
import os
import select
import shutil
import subprocess
import time
from dataclasses import replace

import numpy as np
import pytest
import yaml

from dealias.report.image_scores import IMAGE_METRICS, image_scores_path, write_image_scores
from dealias.report.outcome import METRICS, write_outcome
from dealias.report.pictures import Pictures, Sample, save_pictures

CLASSES = ("ground", "pole", "sign & co")
PALETTE = ((70, 70, 70), (204, 60, 20), (240, 228, 66))
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-extensions --remote-debugging-pipe"
).split()
SECONDS = 20


class Browser:
    """Chromium with one empty page, driven through its DevTools protocol: JSON messages, each ended by a zero byte."""

    def __init__(self, executable, profile):
        read_commands, self.commands = os.pipe()
        self.answers, write_answers = os.pipe()
        script = f'exec "$@" 3<&{read_commands} 4>&{write_answers}'  # Chromium expects its pipe at 3 and 4
        command = ["bash", "-c", script, "bash", executable, *FLAGS, f"--user-data-dir={profile}", "about:blank"]
        with (profile.parent / "chromium.log").open("wb") as log:
            self.process = subprocess.Popen(command, pass_fds=(read_commands, write_answers), stdout=log, stderr=log)
        for end in (read_commands, write_answers):
            os.close(end)
        self.sent, self.buffer, self.session, self.events = 0, b"", None, []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def send(self, method, **params):
        """Give a command and wait for its answer; events that come before it are kept."""
        self.sent += 1
        message = {"id": self.sent, "method": method, "params": params}
        message |= {"sessionId": self.session} if self.session else {}
        os.write(self.commands, json.dumps(message).encode() + b"\0")
        while (answer := self.receive()).get("id") != self.sent:
            self.events.append(answer)
        assert "error" not in answer, (method, answer)
        return answer["result"]

    def receive(self):
        deadline = time.monotonic() + SECONDS
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.answers], [], [], max(0.0, deadline - time.monotonic()))
            chunk = os.read(self.answers, 1 << 20) if ready else b""
            assert chunk, f"Chromium did not answer within {SECONDS} s"
            self.buffer += chunk
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def wait_for(self, method):
        """Let events come in until one of that name has; all are kept."""
        while not any(event.get("method") == method for event in self.events):
            self.events.append(self.receive())

    def open(self, file, width=1280, dark=False, scale=1):
        """Load a file in a window of that width, and forget the events before."""
        self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=scale, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])
        self.events = []
        self.send("Page.navigate", url=file.as_uri())
        self.wait_for("Page.loadEventFired")

    def evaluate(self, expression):
        """The value of a JavaScript expression."""
        answer = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def press(self, key):
        """Press and release a key on what has the focus."""
        codes = {"Enter": 13, "End": 35, "ArrowRight": 39, "ArrowDown": 40, " ": 32}
        text = {"text": "\r"} if key == "Enter" else {"text": " "} if key == " " else {}
        common = {"key": key, "code": "Space" if key == " " else key, "windowsVirtualKeyCode": codes[key]}
        self.send("Input.dispatchKeyEvent", type="keyDown", **common, **text)
        self.send("Input.dispatchKeyEvent", type="keyUp", **common)

    def complaints(self):
        """Errors, exceptions and console messages since the page was opened."""
        wanted = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")
        return [event["params"] for event in self.events if event.get("method") in wanted]

    def requests(self):
        """Addresses that were asked for since the page was opened, data URIs left out."""
        asked = [event for event in self.events if event.get("method") == "Network.requestWillBeSent"]
        addresses = [event["params"]["request"]["url"] for event in asked]
        return [address for address in addresses if not address.startswith("data:")]

    def close(self):
        self.process.terminate()
        self.process.wait(SECONDS)
        os.close(self.commands)
        os.close(self.answers)


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    executable = shutil.which("chromium")
    if executable is None:
        pytest.skip("chromium is not on the PATH, so the page cannot be tried out")
    profile = tmp_path_factory.mktemp("browser") / "profile"
    profile.mkdir()
    browser = Browser(executable, profile)
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def make_comparison():
    """``make_comparison(folder, ...)``: a comparison as ``dealias compare`` leaves it, with made-up numbers."""
    return comparison


@pytest.fixture(scope="session")
def make_run():
    """``make_run(folder, ...)``: a run as ``dealias fit`` leaves it."""
    return single_run


@pytest.fixture(scope="session")
def make_sample():
    """``make_sample(number, gain, noise)``: a scene with a prediction."""
    return sample


def comparison(out, variants=("bilinear", "carafe", "freqfusion"), seeds=3, classes=CLASSES, steps=60):
    """The later a variant, the better its scores; the second differs from the first by noise alone."""
    folders = {}
    for order, variant in enumerate(variants):
        folders[variant] = [out / "runs" / f"{variant}-seed{seed}" for seed in range(seeds)]
        for seed, folder in enumerate(folders[variant]):
            gain = 0.0 if order < 2 else 0.02 * order
            write_run(folder, variant, seed, gain, classes, steps)
    environment = {"versions": {"dealias": "0.1.0", "torch": "2.9"}, "revision": "abc123-dirty", "device": "cpu"}
    environment |= {"command": "dealias compare --data 'a b'", "started": "2026-01-02T03:04:05+00:00"}
    settings = {"arch": "fpn", "encoder": "resnet10t", "data": "scenes", "steps": steps, "budget": None}
    write_outcome(out, folders, {"settings": settings, "environment": environment})
    (out / "env.json").write_text(json.dumps(environment))
    (out / "config.yaml").write_text(yaml.safe_dump(settings))
    return out


def write_run(folder, variant, seed, gain, classes, steps):
    """The files of a run: scores with noise, a falling loss, and pictures with ``1 - gain`` of their errors."""
    folder.mkdir(parents=True)
    random = np.random.default_rng([seed, len(variant)])
    scores = {metric: 0.7 + gain + 0.01 * random.standard_normal() for metric in METRICS[:3]}
    scores |= {metric: 0.3 - gain + 0.01 * random.standard_normal() for metric in METRICS[3:]}
    scores["IoU"] = [0.9 + gain / 2, 0.5 + gain, *[None] * (len(classes) - 2)]
    results = {"command": "compare", "band": 3, "classes": list(classes), "parameters": 1_300_000, "steps": steps}
    results |= {"seconds": 9.0, "seconds_per_step": 0.1 + gain, "scores": {"val": scores}}
    (folder / "metrics.json").write_text(json.dumps(results))
    (folder / "env.json").write_text(json.dumps({"seed": seed, "command": "dealias fit", "device": "cpu"}))
    with (folder / "metrics.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["step", "train/loss", "val/mIoU"])
        writer.writerows([step, 2 / (1 + step / 20) + 0.05 * random.random(), ""] for step in range(9, steps, 10))
        writer.writerows([step, "", 0.3 + 0.4 * step / steps] for step in (steps // 2, steps))
    palette = tuple((*PALETTE, *[(number, 200, 90) for number in range(len(classes))])[: len(classes)])
    samples = [sample(number, gain, random) for number in range(3)]
    samples[2] = replace(samples[2], why=("lowest mIoU", "highest FErr"))
    save_pictures(folder / "pictures", Pictures(tuple(classes), palette, 255, "3 of 40 images", tuple(samples)))
    rows = [(f"scene {number}", random.uniform(0.2, 0.8, len(IMAGE_METRICS)).tolist()) for number in range(40)]
    write_image_scores(image_scores_path(folder, "val"), rows)


def sample(number, gain, noise):
    """A pole and a sign on the ground; a prediction with the pole moved, the sign lost and false dots."""
    random = np.random.default_rng(number)
    truth = np.zeros((48, 64), np.uint8)
    column, row = random.integers(8, 30), random.integers(8, 36)
    truth[:, column : column + 3] = 1
    truth[row : row + 6, 40:46] = 2
    truth[:4, :6] = 255
    prediction = np.roll(np.where(truth == 255, 0, truth), 1, axis=1)
    prediction[prediction == 2] = 0
    prediction[noise.random(truth.shape) < 0.02 * (1 - 5 * gain)] = 1
    image = np.clip(
        np.array(PALETTE, np.uint8)[np.where(truth == 255, 0, truth)] + noise.integers(0, 30, (48, 64, 1)), 0, 255
    )
    return Sample(f"scene {number}", image.astype(np.uint8), truth, prediction.astype(np.uint8))


def single_run(folder, gain=0.0, classes=CLASSES):
    """A run as ``dealias fit`` leaves it."""
    write_run(folder, folder.name, 0, gain, classes, 60)
    (folder / "config.yaml").write_text("seed_everything: 0\n")
    return folder
