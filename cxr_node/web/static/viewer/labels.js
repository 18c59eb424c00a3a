// Places labels beside what they name, so that none covers another or leaves the film.

const GAP = 6, PADDING = 2;

function overlaps(one, other) {
  return one.x < other.x + other.width + PADDING && other.x < one.x + one.width + PADDING
    && one.y < other.y + other.height + PADDING && other.y < one.y + one.height + PADDING;
}

function isInside(box, area) {
  return box.x >= area.x && box.y >= area.y
    && box.x + box.width <= area.x + area.width && box.y + box.height <= area.y + area.height;
}

// Candidates around a point: beside it at first, then farther and farther away.
function* candidates({ x, y, width, height }) {
  for (let ring = 0; ring < 12; ring++) {
    const away = GAP + ring * height, shifts = ring ? [0, -away, away] : [0];
    for (const shift of shifts) {
      yield { x: x + away, y: y - height / 2 + shift };
      yield { x: x - away - width, y: y - height / 2 + shift };
      yield { x: x - width / 2 + shift, y: y - away - height };
      yield { x: x - width / 2 + shift, y: y + away };
    }
  }
}

// Returns for each label { x, y, width, height } its box, or null where it has no place. `x`, `y` is the point named.
export function placed(labels, area) {
  const taken = [];
  return labels.map((label) => {
    if (!isInside({ ...label, width: 0, height: 0 }, area)) return null;
    for (const at of candidates(label)) {
      const box = { ...at, width: label.width, height: label.height };
      if (isInside(box, area) && !taken.some((other) => overlaps(box, other))) {
        taken.push(box);
        return box;
      }
    }
    return null;
  });
}
