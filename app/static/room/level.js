// The microphone's level, and a warning when nothing is heard.

const SILENT_BELOW = 0.004; // of full scale; a quiet room with a working microphone is above it
const WARN_AFTER_MS = 6_000;
const LOOK_EVERY_MS = 100;

/**
 * @param {MediaStreamTrack} track
 * @param {(level: number, silent: boolean) => void} onLevel level 0..1; silent: nothing heard for six seconds
 * @returns {() => void} stops listening; safe to call twice
 */
export function watchLevel(track, onLevel) {
  const context = new AudioContext();
  const listener = context.createAnalyser();
  listener.fftSize = 1024;
  context.createMediaStreamSource(new MediaStream([track])).connect(listener);
  const samples = new Float32Array(listener.fftSize);
  const wake = () => void context.resume(); // a page that nobody has touched yet may hear nothing
  for (const touch of ["click", "keydown"]) addEventListener(touch, wake);
  let heardAt = performance.now();
  const timer = setInterval(() => {
    if (context.state !== "running" || !track.enabled) heardAt = performance.now(); // not listened to is not silent
    listener.getFloatTimeDomainData(samples);
    const loudest = samples.reduce((most, one) => Math.max(most, Math.abs(one)), 0);
    if (loudest > SILENT_BELOW) heardAt = performance.now();
    onLevel(Math.min(1, loudest * 2), performance.now() - heardAt > WARN_AFTER_MS);
  }, LOOK_EVERY_MS);
  return () => {
    clearInterval(timer);
    for (const touch of ["click", "keydown"]) removeEventListener(touch, wake);
    if (context.state !== "closed") void context.close();
  };
}
