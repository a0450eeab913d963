// Publishes moving pictures and a tone by WHIP with libwebrtc (no browser of ours), until standard input closes.
//
//   node wrtc_client.mjs WHIP_URL        first line of standard input: the room token
//
// Prints one JSON line when connected and one with what was sent when it has ended the stream.
import { createInterface } from "node:readline";
import wrtc from "@roamhq/wrtc";

const { RTCPeerConnection, nonstandard } = wrtc;
const [url] = process.argv.slice(2);
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const token = (await lines.next()).value;

const [WIDTH, HEIGHT, RATE] = [320, 180, 48_000];
const video = new nonstandard.RTCVideoSource();
const audio = new nonstandard.RTCAudioSource();
const peer = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
const media = [video.createTrack(), audio.createTrack()];
for (const track of media) peer.addTransceiver(track, { direction: "sendonly" });

let pictures = 0;
const drawing = setInterval(() => {
  const data = new Uint8ClampedArray((WIDTH * HEIGHT * 3) / 2).fill(128);
  for (let i = 0; i < WIDTH * HEIGHT; i++) data[i] = (i + 5 * pictures) % 256;
  video.onFrame({ width: WIDTH, height: HEIGHT, data });
  pictures++;
}, 50);
let played = 0;
const sounding = setInterval(() => {
  const samples = new Int16Array(RATE / 100);
  for (let i = 0; i < samples.length; i++) samples[i] = 8000 * Math.sin((2 * Math.PI * 440 * (played + i)) / RATE);
  played += samples.length;
  audio.onData({ samples, sampleRate: RATE, bitsPerSample: 16, channelCount: 1, numberOfFrames: samples.length });
}, 10);

await peer.setLocalDescription(await peer.createOffer());
const headers = { "content-type": "application/sdp", authorization: `Bearer ${token}` };
const answer = await fetch(url, { method: "POST", headers, body: peer.localDescription.sdp });
const text = await answer.text();
if (answer.status !== 201) throw new Error(`${answer.status} ${text}`);
await peer.setRemoteDescription({ type: "answer", sdp: text });
await new Promise((connected, failed) => {
  peer.onconnectionstatechange = () => {
    if (peer.connectionState === "connected") connected();
    if (peer.connectionState === "failed") failed(new Error("ICE or DTLS failed"));
  };
});
const codecs = [...(await peer.getStats()).values()].filter((one) => one.type === "codec").map((one) => one.mimeType);
console.log(JSON.stringify({ state: peer.connectionState, codecs, location: answer.headers.get("location") }));

await lines.next(); // until we are told to stop
const sent = {};
for (const one of (await peer.getStats()).values()) if (one.type === "outbound-rtp") sent[one.kind] = one.packetsSent;
const ended = await fetch(new URL(answer.headers.get("location"), url), { method: "DELETE", headers });
clearInterval(drawing);
clearInterval(sounding);
media.forEach((track) => track.stop());
peer.close();
console.log(JSON.stringify({ ended: ended.status, sent }));
process.exit(0);
