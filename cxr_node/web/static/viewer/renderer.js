// Draws a frame onto a canvas: by WebGL 2, or by the processor where a browser has none.
// A picture is { matrix: pixels of the canvas to the film, low, high, isInverted, isSmooth, samples }.

const VERTEX = `#version 300 es
void main() {
  gl_Position = vec4(vec2[](vec2(-1, -1), vec2(3, -1), vec2(-1, 3))[gl_VertexID], 0, 1);
}`;
const FRAGMENT = `#version 300 es
precision highp float;
precision highp int;
precision highp usampler2D;
uniform usampler2D frame;
uniform mat2 turn;
uniform vec2 origin;
uniform float height;
uniform vec2 bounds;
uniform bool isInverted;
uniform bool isSmooth;
uniform int samples;
out vec4 color;

float value(ivec2 at) {
  return float(texelFetch(frame, clamp(at, ivec2(0), textureSize(frame, 0) - 1), 0).r);
}

// Bilinear between the centers of four pixels.
float between(vec2 at) {
  vec2 corner = floor(at - 0.5), share = at - 0.5 - corner;
  ivec2 first = ivec2(corner);
  float upper = mix(value(first), value(first + ivec2(1, 0)), share.x);
  float lower = mix(value(first + ivec2(0, 1)), value(first + ivec2(1, 1)), share.x);
  return mix(upper, lower, share.y);
}

// Mean of the film's pixels that a pixel of the canvas covers.
float mean(vec2 at) {
  float sum = 0.0;
  for (int row = 0; row < samples; row++) {
    for (int column = 0; column < samples; column++) {
      vec2 part = (vec2(column, row) + 0.5) / float(samples) - 0.5;
      sum += value(ivec2(floor(at + turn * part)));
    }
  }
  return sum / float(samples * samples);
}

void main() {
  vec2 at = turn * vec2(gl_FragCoord.x, height - gl_FragCoord.y) + origin;
  vec2 size = vec2(textureSize(frame, 0));
  color = vec4(0, 0, 0, 1);
  if (any(lessThan(at, vec2(0))) || any(greaterThanEqual(at, size))) return;
  float p = samples > 1 ? mean(at) : isSmooth ? between(at) : value(ivec2(floor(at)));
  float shade = clamp((p - bounds.x) / (bounds.y - bounds.x), 0.0, 1.0);
  color.rgb = vec3(isInverted ? 1.0 - shade : shade);
}`;

// Returns draw(picture), and upload(frame) to be called before it; null without WebGL 2 or for too large a film.
function glRenderer(canvas, frame) {
  const gl = canvas.getContext("webgl2", { alpha: false, antialias: false, depth: false, preserveDrawingBuffer: true });
  if (!gl || Math.max(frame.rows, frame.columns) > gl.getParameter(gl.MAX_TEXTURE_SIZE)) return null;
  let place = null;

  function prepare() {
    const program = gl.createProgram();
    for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) return false;
    gl.useProgram(program);
    place = (name) => gl.getUniformLocation(program, name);
    gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
    for (const name of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, name, gl.NEAREST);
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 2);
    const { columns, rows, values } = frame;
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.R16UI, columns, rows, 0, gl.RED_INTEGER, gl.UNSIGNED_SHORT, values);
    return gl.getError() === gl.NO_ERROR;
  }

  function draw({ matrix, low, high, isInverted, isSmooth, samples }) {
    if (gl.isContextLost()) return;
    gl.viewport(0, 0, canvas.width, canvas.height);
    gl.uniformMatrix2fv(place("turn"), false, [matrix.a, matrix.b, matrix.c, matrix.d]);
    gl.uniform2f(place("origin"), matrix.e, matrix.f);
    gl.uniform1f(place("height"), canvas.height);
    gl.uniform2f(place("bounds"), low, high);
    gl.uniform1i(place("isInverted"), isInverted);
    gl.uniform1i(place("isSmooth"), isSmooth);
    gl.uniform1i(place("samples"), samples);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
  }

  // The graphics card may forget everything, as after the computer slept.
  canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
  canvas.addEventListener("webglcontextrestored", () => {
    prepare();
    canvas.dispatchEvent(new Event("restored"));
  });
  return prepare() ? draw : null;
}

function canvasRenderer(canvas, frame) {
  const context = canvas.getContext("2d", { alpha: false });
  const { rows, columns, values } = frame;
  const limited = (value, most) => Math.min(Math.max(value, 0), most);
  const value = (x, y) => values[limited(Math.floor(y), rows - 1) * columns + limited(Math.floor(x), columns - 1)];

  function between(x, y) {
    const left = Math.floor(x - 0.5), top = Math.floor(y - 0.5), across = x - 0.5 - left, down = y - 0.5 - top;
    const upper = value(left, top) * (1 - across) + value(left + 1, top) * across;
    const lower = value(left, top + 1) * (1 - across) + value(left + 1, top + 1) * across;
    return upper * (1 - down) + lower * down;
  }

  function mean(x, y, { a, b, c, d }, samples) {
    let sum = 0;
    for (let row = 0; row < samples; row++) {
      for (let column = 0; column < samples; column++) {
        const across = (column + 0.5) / samples - 0.5, down = (row + 0.5) / samples - 0.5;
        sum += value(x + a * across + c * down, y + b * across + d * down);
      }
    }
    return sum / (samples * samples);
  }

  return function draw({ matrix, low, high, isInverted, isSmooth, samples }) {
    const image = context.createImageData(canvas.width, canvas.height), { a, b, c, d, e, f } = matrix;
    let index = 0;
    for (let row = 0; row < canvas.height; row++) {
      for (let column = 0; column < canvas.width; column++, index += 4) {
        const x = a * (column + 0.5) + c * (row + 0.5) + e, y = b * (column + 0.5) + d * (row + 0.5) + f;
        let shade = 0;
        if (x >= 0 && y >= 0 && x < columns && y < rows) {
          const p = samples > 1 ? mean(x, y, matrix, samples) : isSmooth ? between(x, y) : value(x, y);
          const share = limited((p - low) / (high - low), 1);
          shade = 255 * (isInverted ? 1 - share : share);
        }
        image.data[index] = image.data[index + 1] = image.data[index + 2] = shade;
        image.data[index + 3] = 255;
      }
    }
    context.putImageData(image, 0, 0);
  };
}

// Returns a function that draws a picture, and a canvas for it: one that WebGL used has no other context.
export function makeRenderer(canvas, frame) {
  const draw = self.WebGL2RenderingContext ? glRenderer(canvas, frame) : null;
  if (draw) return { draw, canvas };
  const plain = canvas.cloneNode();
  canvas.replaceWith(plain);
  return { draw: canvasRenderer(plain, frame), canvas: plain };
}
