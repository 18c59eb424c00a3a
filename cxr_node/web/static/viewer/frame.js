// The P-values of a film: 16 bits a pixel, 0 black to 65535 white.

export const WHITE = 65535;

// Loads all P-values of a film as it hangs; throws an Error with a sentence for a person.
export async function loadFrame(film, signal) {
  const response = await fetch(`/films/${film}/frame`, { signal });
  if (response.redirected || response.status === 401) {
    location.assign("/login");
    throw new Error("The session has ended.");
  }
  if (response.status === 429) throw new Error("Too many films are being decoded: reload the page in a moment.");
  if (response.status !== 200) throw new Error("Only the picture is shown: this film cannot be sent with all its values.");
  const header = (name) => Number(response.headers.get(name));
  const rows = header("X-Rows"), columns = header("X-Columns"), bytes = await response.arrayBuffer();
  if (bytes.byteLength !== 2 * rows * columns) throw new Error("Only the picture is shown: the film came incomplete.");
  return { rows, columns, aspectRatio: header("X-Pixel-Aspect-Ratio"), values: new Uint16Array(bytes) };
}

// Value at (column, row), null outside of the film.
export function valueAt(frame, column, row) {
  const x = Math.floor(column), y = Math.floor(row);
  return x >= 0 && y >= 0 && x < frame.columns && y < frame.rows ? frame.values[y * frame.columns + x] : null;
}

// Windows by name, [low, high]. Those of lungs and mediastinum are percentiles of the film without pure black and white.
export function presetsOf(frame) {
  const counts = new Uint32Array(WHITE + 1);
  for (const value of frame.values) counts[value]++;
  const lowest = counts.findIndex((count) => count > 0);
  const highest = counts.findLastIndex((count) => count > 0);
  counts[0] = counts[WHITE] = 0;
  const total = counts.reduce((sum, count) => sum + count, 0);
  const percentile = (share) => {
    let value = 0;
    for (let seen = counts[0]; seen < share * total && value < WHITE; seen += counts[value]) value++;
    return value;
  };
  const window = (low, high) => [low, Math.max(high, low + 1)];
  return {
    sent: [0, WHITE],
    full: window(lowest, highest),
    lungs: window(percentile(0.01), percentile(0.55)),
    mediastinum: window(percentile(0.35), percentile(0.995)),
  };
}
