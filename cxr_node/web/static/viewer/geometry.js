// Maps pixels of a film to the screen. Pure. A matrix {a, b, c, d, e, f} is that of SVG: x' = a x + c y + e.

const COSINES = [1, 0, -1, 0], SINES = [0, 1, 0, -1];

// Width and height of a film's pixel in units of the smaller one.
export function pixelSize(aspectRatio) {
  return { width: Math.max(1 / aspectRatio, 1), height: Math.max(aspectRatio, 1) };
}

// Size of a film after `turns` rotations by 90 degrees clockwise.
export function turnedSize(film, turns) {
  const pixel = pixelSize(film.aspectRatio);
  const width = film.columns * pixel.width, height = film.rows * pixel.height;
  return turns % 2 ? { width: height, height: width } : { width, height };
}

// Zoom at which the whole film fits into a box of the screen.
export function fitZoom(film, turns, box) {
  const size = turnedSize(film, turns);
  return Math.min(box.width / size.width, box.height / size.height);
}

// Matrix from (column, row) of the film to the box, whose center shows (view.column, view.row).
export function matrixOf(view, film, box) {
  const pixel = pixelSize(film.aspectRatio), cosine = COSINES[view.turns], sine = SINES[view.turns];
  const across = view.zoom * pixel.width, down = view.zoom * pixel.height;
  const a = cosine * across, b = sine * across, c = -sine * down, d = cosine * down;
  return {
    a, b, c, d,
    e: box.width / 2 - a * view.column - c * view.row,
    f: box.height / 2 - b * view.column - d * view.row,
  };
}

export function inverse({ a, b, c, d, e, f }) {
  const determinant = a * d - b * c;
  return {
    a: d / determinant, b: -b / determinant, c: -c / determinant, d: a / determinant,
    e: (c * f - d * e) / determinant, f: (b * e - a * f) / determinant,
  };
}

export function apply({ a, b, c, d, e, f }, x, y) {
  return { x: a * x + c * y + e, y: b * x + d * y + f };
}

// The view after a change of zoom or turns that leaves the film under the point (x, y) of the box in place.
export function keepingPoint(view, changes, film, box, x, y) {
  const before = apply(inverse(matrixOf(view, film, box)), x, y);
  const changed = { ...view, ...changes };
  const after = apply(inverse(matrixOf(changed, film, box)), x, y);
  return { ...changed, column: changed.column + before.x - after.x, row: changed.row + before.y - after.y };
}

// The view moved so that each side of the film that is larger than the box fills it, and the other is in the middle.
export function bounded(view, film, box) {
  const matrix = matrixOf(view, film, box), size = turnedSize(film, view.turns);
  const corners = [apply(matrix, 0, 0), apply(matrix, film.columns, film.rows)];
  const shift = (low, high, extent, length) => {
    if (length <= extent) return (extent - low - high) / 2;
    return low > 0 ? -low : Math.max(0, extent - high);
  };
  const xs = corners.map((corner) => corner.x), ys = corners.map((corner) => corner.y);
  const dx = shift(Math.min(...xs), Math.max(...xs), box.width, size.width * view.zoom);
  const dy = shift(Math.min(...ys), Math.max(...ys), box.height, size.height * view.zoom);
  return moved(view, film, box, dx, dy);
}

// The view after the film was moved by (dx, dy) on the screen.
export function moved(view, film, box, dx, dy) {
  const back = inverse(matrixOf(view, film, box));
  return { ...view, column: view.column - back.a * dx - back.c * dy, row: view.row - back.b * dx - back.d * dy };
}
