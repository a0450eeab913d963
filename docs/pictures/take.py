"""Takes the pictures of README.md from a running `make demo`: a new session, walked through by two real browsers.

    .venv/bin/python docs/pictures/take.py                 # the README's pictures, into this folder
    .venv/bin/python docs/pictures/take.py --every FOLDER  # every page, wide and narrow, to be looked at

The people are drawn (the demo's own clips); nobody is shown whose face or voice it would be.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from html import unescape
from itertools import islice
from pathlib import Path

import av
from playwright.sync_api import Browser, Page, Playwright, expect, sync_playwright

HERE = Path(__file__).parent
ASSETS = HERE.parents[1] / "app/demo/assets"
CHROMIUM = "/usr/bin/chromium"
OWNER = "ada@studio.example"
TALL = {"width": 1280, "height": 1000}  # so that screen and camera are both seen
WIDE, NARROW = {"width": 1280, "height": 800}, {"width": 360, "height": 740}
IN_README = {"invitation", "consent", "room", "review", "my-data", "certificate"}
NOT_WHOLE = {"room", "room-participant", "review"}  # as they stand on the screen
PATIENCE_MS = 20_000
SHARED_TITLE = "Garden plan"
SHARED_PAGE = f"""<title>{SHARED_TITLE}</title><body style="font:20px system-ui;margin:40px;background:#f3f7ef">
<h1>Plan your garden</h1><p>Drag what you like into the beds. We tell you what grows well together.</p>
<div style="display:grid;grid-template-columns:repeat(3,1fr);gap:16px">
{
    "".join(
        f'<div style="padding:48px 24px;border-radius:8px;background:{c}">{n}</div>'
        for n, c in (
            ("Tomatoes", "#f0c4b4"),
            ("Basil", "#c5dfb8"),
            ("Lavender", "#d5c9e8"),
            ("Carrots", "#f4d6a6"),
            ("Onions", "#eae2c8"),
            ("Nothing yet", "#ffffff"),
        )
    )
}
</div>"""


@dataclass
class Camera:
    """Takes pictures; in README mode only those the README shows."""

    folder: Path
    every: bool

    def take(self, page: Page, name: str) -> None:
        if not self.every and name not in IN_README:
            return
        was = page.viewport_size
        for mark, size in (
            (("", WIDE), ("-narrow", NARROW)) if self.every else (("", TALL if name in NOT_WHOLE else WIDE),)
        ):
            page.set_viewport_size(size)
            page.wait_for_timeout(300)  # pictures that move settle in their new size
            whole = name not in NOT_WHOLE and (self.every or name == "certificate")
            page.screenshot(
                path=self.folder / f"{name}{mark}.png", full_page=whole or bool(mark), animations="disabled"
            )
        if was:
            page.set_viewport_size(was)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://localhost:8000", help="where the demo serves")
    parser.add_argument("--every", type=Path, metavar="FOLDER", help="every page at both widths, into FOLDER")
    parser.add_argument("--dark", action="store_true", help="in the dark scheme")
    chosen = parser.parse_args()
    folder = chosen.every or HERE
    folder.mkdir(parents=True, exist_ok=True)
    camera = Camera(folder, every=chosen.every is not None)
    with tempfile.TemporaryDirectory() as place, sync_playwright() as playwright, ExitStack() as closing:
        browsers = [closing.enter_context(chromium(playwright, person, Path(place))) for person in (2, 1)]
        owner, guest = (
            browser.new_context(
                viewport=WIDE,
                base_url=chosen.url,
                color_scheme="dark" if chosen.dark else "light",
                locale="en-GB",
                timezone_id="Europe/Berlin",
                reduced_motion="reduce",
                permissions=["camera", "microphone"],
            ).new_page()
            for browser in browsers
        )
        walk(camera, owner, guest)


@contextmanager
def chromium(playwright: Playwright, person: int, place: Path) -> Iterator[Browser]:
    """A browser whose camera and microphone are the drawn person of the demo."""
    picture, sound = place / f"{person}.mjpeg", place / f"{person}.wav"
    moving_picture(ASSETS / f"camera-{person}.ivf", picture)
    spoken(ASSETS / f"speech-{person}.opus", sound)
    browser = playwright.chromium.launch(
        executable_path=CHROMIUM,
        args=[
            "--no-sandbox",
            "--use-fake-device-for-media-stream",
            f"--use-file-for-fake-video-capture={picture}",
            f"--use-file-for-fake-audio-capture={sound}",
            f"--auto-select-tab-capture-source-by-title={SHARED_TITLE}",
            "--autoplay-policy=no-user-gesture-required",
            "--allow-loopback-in-peer-connection",
        ],
    )
    try:
        yield browser
    finally:
        browser.close()


def moving_picture(source: Path, target: Path, frames: int = 300) -> None:
    with av.open(str(source)) as clip, av.open(str(target), "w", format="mjpeg") as out:
        stream = out.add_stream("mjpeg", rate=30, options={"qscale": "3"})
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuvj420p"
        for frame in islice(clip.decode(video=0), frames):
            out.mux(stream.encode(frame.reformat(format="yuvj420p")))
        out.mux(stream.encode(None))


def spoken(source: Path, target: Path) -> None:
    with av.open(str(source)) as clip, av.open(str(target), "w", format="wav") as out:
        stream = out.add_stream("pcm_s16le", rate=48000, layout="mono")
        for frame in clip.decode(audio=0):
            for piece in av.AudioResampler("s16", "mono", 48000).resample(frame):
                out.mux(stream.encode(piece))
        out.mux(stream.encode(None))


def mailed(page: Page, address: str, containing: str, *, but: str = "") -> str:
    """The newest mail's words to `address` with `containing` and without `but`; the outbox shows newest first."""
    reader = page.context.new_page()
    try:
        for _ in range(100):
            reader.goto("/outbox")
            for link in reader.locator("main table a").all()[:8]:
                shown = page.request.get(str(link.get_attribute("href"))).text()
                words = unescape(re.sub(r"<[^>]+>", "", shown))
                if address in words and containing in words and not (but and but in words):
                    return words
                if but and but in words:
                    break
            reader.wait_for_timeout(200)
        raise SystemExit(f"no mail to {address} with {containing}; is this a running demo?")
    finally:
        reader.close()


def mailed_link(page: Page, address: str, part: str, *, but: str = "") -> str:
    words = mailed(page, address, part, but=but)
    return next(link for link in re.findall(r"https?://[^\s<>]+", words) if part in link)


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def walk(camera: Camera, owner: Page, guest: Page) -> None:
    """The whole story, a picture at each page."""
    expect.set_options(timeout=PATIENCE_MS)
    for page in (owner, guest):
        page.set_default_timeout(PATIENCE_MS)
    session, address = set_up(camera, owner)
    come_in(camera, owner, guest, address)
    record(camera, owner, guest, session)
    look_back(camera, owner, guest, session, address)
    dead_ends(camera, owner, guest)


def set_up(camera: Camera, owner: Page) -> tuple[str, str]:
    """Signed in, a study, a session, an invitation. Returns the session's path and who was invited."""
    older = mailed_link(owner, OWNER, "/sign-in/")
    owner.goto("/sign-in")
    camera.take(owner, "sign-in")
    owner.get_by_label("E-mail address").fill(OWNER)
    press(owner, "Send me a link")
    camera.take(owner, "link-sent")
    owner.goto(mailed_link(owner, OWNER, "/sign-in/", but=older))
    camera.take(owner, "use-link")
    press(owner, "Sign in")
    camera.take(owner, "studies")
    owner.goto("/studies/new")
    camera.take(owner, "study-form")
    press(owner, "Create the study")
    camera.take(owner, "study-form-wrong")
    owner.get_by_label("Title").fill("How people plan a small garden")
    owner.get_by_label("Contact for participants").fill("Ada Owner")
    owner.get_by_label("Their e-mail address").fill("ada@studio.example")
    for kind in ("Video", "Audio", "Screen", "Transcript"):
        owner.get_by_role("switch", name=re.compile(f"^{kind}")).set_checked(True)
    press(owner, "Create the study")
    camera.take(owner, "study")
    owner.get_by_role("link", name="Schedule the first session").click()
    camera.take(owner, "session-form")
    owner.get_by_label("Title").fill("Lena tries the planner")
    owner.get_by_label("When").fill("2027-05-03T14:30")
    press(owner, "Schedule the session")
    camera.take(owner, "session")
    path = re.sub(r"^https?://[^/]+", "", owner.url)
    address = f"lena-{path[-6:]}@home.example"
    owner.get_by_label("First name").fill("Lena")
    owner.get_by_label("E-mail address").fill(address)
    owner.get_by_label(re.compile("Your words")).fill("Thank you for giving us half an hour. Have a garden in mind.")
    press(owner, "Send the invitation")
    camera.take(owner, "session-invited")
    return path, address


def come_in(camera: Camera, owner: Page, guest: Page, address: str) -> None:
    """From the mail to the consent, on the participant's own browser."""
    link = mailed_link(guest, address, "/i/")
    reader = guest.context.new_page()
    reader.goto("/outbox")
    camera.take(reader, "outbox")
    reader.locator("main table a").first.click()
    camera.take(reader, "mail")
    reader.get_by_role("link", name="See it as HTML").click()
    camera.take(reader, "mail-html")
    reader.goto(mailed_link(guest, address, "/unsubscribe/"))
    camera.take(reader, "unsubscribe")
    reader.close()
    guest.goto(link)
    camera.take(guest, "invitation")
    press(guest, "Register and continue")
    camera.take(guest, "invitation-wrong")
    guest.get_by_label("Your first name").fill("Lena")
    guest.get_by_label("Your e-mail address").fill(address)
    press(guest, "Register and continue")
    guest.wait_for_url("**/take-part/*")
    camera.take(guest, "consent-untouched")
    for kind in ("video", "audio", "screen", "transcript"):
        guest.locator(f"#consent-{kind}").check()
    camera.take(guest, "consent")
    press(guest, "Go to the room")
    expect(guest.get_by_role("button", name="I am ready")).to_be_enabled()
    guest.wait_for_timeout(1500)
    camera.take(guest, "device-check")


def record(camera: Camera, owner: Page, guest: Page, session: str) -> None:
    """The waiting room, the room on both sides, the end."""
    owner.goto(session.replace("/sessions/", "/rooms/"))
    press(guest, "I am ready")
    camera.take(owner, "room-before")
    press(owner, "Open the room")
    expect(owner.get_by_role("button", name="Let Lena in")).to_be_visible()
    camera.take(guest, "waiting-room")
    camera.take(owner, "room-waiting")
    press(owner, "Let Lena in")
    press(owner, "Join with camera and microphone")
    press(owner, "Start recording")
    shared = guest.context.new_page()
    shared.set_content(SHARED_PAGE)
    guest.bring_to_front()
    press(guest, "Share my screen")
    expect(owner.locator("#stored")).to_contain_text("stored up to")
    expect(owner.locator('.tile[data-stream="screen"]')).to_be_visible()
    shared.bring_to_front()
    shared.wait_for_timeout(4000)
    camera.take(owner, "room")
    guest.bring_to_front()
    camera.take(guest, "room-participant")
    guest.get_by_text("Withdraw a consent").click()
    camera.take(guest, "room-participant-withdraw")
    owner.wait_for_timeout(6000)
    owner.get_by_text("End the session").click()
    camera.take(owner, "room-end")
    press(owner, "End for everyone")
    expect(guest.get_by_role("heading", name="Thank you")).to_be_visible()
    camera.take(guest, "room-ended-participant")
    camera.take(owner, "room-ended")
    owner.goto(session)
    camera.take(owner, "session-moving")


def look_back(camera: Camera, owner: Page, guest: Page, session: str, address: str) -> None:
    """Review, My data, everything erased, the certificate."""
    owner.goto(f"{session}/review")
    for _ in range(120):
        if owner.locator("#cues li").count():
            break
        owner.wait_for_timeout(1000)
        owner.reload()
    owner.goto(session)
    camera.take(owner, "session-ended")
    owner.goto(f"{session}/review")
    owner.locator("#play").click()
    owner.wait_for_timeout(5000)
    owner.evaluate("scrollTo(0, 0)")
    camera.take(owner, "review")
    owner.goto(f"{session}/erase")
    camera.take(owner, "erase-session")
    guest.goto("/my-data")
    camera.take(guest, "my-data-ask")
    press(guest, "Send me a code")
    camera.take(guest, "my-data-code")
    code = re.search(r"\b\d{6}\b", mailed(guest, address, "this code shows you"))
    assert code is not None, "the mail has no code"
    guest.get_by_label("The six digits from the mail").fill(code.group())
    press(guest, "Show my data")
    camera.take(guest, "my-data")
    press(guest, "Erase everything about me")
    camera.take(guest, "erase-me")
    press(guest, "Erase everything about me")
    guest.wait_for_url("**/receipt/*")
    camera.take(guest, "receipt-waiting")
    for _ in range(60):
        if guest.get_by_role("heading", name="Certificate").count():
            break
        guest.wait_for_timeout(1000)
        guest.reload()
    camera.take(guest, "certificate")
    owner.goto("/erasures")
    camera.take(owner, "erasures")
    owner.locator("main table a").first.click()
    camera.take(owner, "erasure")
    owner.goto(session)
    camera.take(owner, "session-erased")


def dead_ends(camera: Camera, owner: Page, guest: Page) -> None:
    """What people see when something is not there or not theirs."""
    owner.goto("/sessions/00000000-0000-4000-8000-000000000000")
    camera.take(owner, "not-there")
    guest.goto("/i/this-link-was-copied-badly")
    camera.take(guest, "closed-link")
    guest.goto("/my-data")
    camera.take(guest, "not-signed-in-participant")


if __name__ == "__main__":
    main()
