"""Publishes H.264 and Opus with FFmpeg's own WHIP muxer (`-f whip`, by way of PyAV), until standard input closes.

    python ffmpeg_client.py WHIP_URL FOLDER      first line of standard input: the room token

Prints one JSON line when connected and one with what was sent. FFmpeg built with GnuTLS makes certificates on a curve
that OpenSSL 4 refuses (P-224), so it is given one.
"""

from __future__ import annotations

import json
import select
import sys
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy
from aiortc.rtcdtlstransport import generate_certificate
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

WIDTH, HEIGHT, RATE = 320, 240, 30


def certificate(folder: Path) -> dict[str, str]:
    key = ec.generate_private_key(ec.SECP256R1())
    (folder / "cert.pem").write_bytes(generate_certificate(key).public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return {"cert_file": str(folder / "cert.pem"), "key_file": str(folder / "key.pem")}


def main(url: str, folder: Path) -> None:
    token = sys.stdin.readline().strip()
    with av.open(url, "w", format="whip", options={"authorization": token, **certificate(folder)}) as output:
        fast = {"preset": "ultrafast", "tune": "zerolatency", "profile": "baseline", "g": str(RATE)}
        video = output.add_stream("libx264", rate=RATE, options=fast)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        sound = output.add_stream("libopus", rate=48_000)
        sound.layout = "stereo"
        pictures = sounds = 0
        begun = time.monotonic()
        while not select.select([sys.stdin], [], [], 0)[0]:
            if pictures / RATE <= sounds / 50:
                image = numpy.full((HEIGHT, WIDTH, 3), pictures * 5 % 255, numpy.uint8)
                frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                frame.pts, frame.time_base = pictures, Fraction(1, RATE)
                output.mux(video.encode(frame))
                pictures += 1
            else:
                wave = (numpy.sin((numpy.arange(1_920) + 1_920 * sounds) * 0.05) * 8_000).astype(numpy.int16)
                tone = av.AudioFrame.from_ndarray(wave.reshape(1, -1), format="s16", layout="stereo")
                tone.sample_rate, tone.pts, tone.time_base = 48_000, sounds * 960, Fraction(1, 48_000)
                output.mux(sound.encode(tone))
                sounds += 1
            if pictures == 1 and sounds == 1:
                print(json.dumps({"ffmpeg": list(av.library_versions["libavformat"])}), flush=True)
            time.sleep(max(0.0, min(pictures / RATE, sounds / 50) - (time.monotonic() - begun)))
    print(json.dumps({"pictures": pictures, "sounds": sounds}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
