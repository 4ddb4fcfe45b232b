#version 300 es
// What all shaders share.  A fragment holds four points, one per render target; the quad q of four
// features or neurons of all points fills the rows q * rows ... of the target.
precision highp float;
precision highp int;
precision highp sampler2D;
precision highp sampler2DArray;
precision highp isampler2D;

uniform int rows;
layout(location = 0) out vec4 out0;
layout(location = 1) out vec4 out1;
layout(location = 2) out vec4 out2;
layout(location = 3) out vec4 out3;

// The lattice of points: origin + row * step0 + column * step1 + depth * step2, as (z, y, x) in -1 ... 1.
uniform uvec3 counts;
uniform vec3 origin, step0, step1, step2;
uniform uint first;

int quad() { return int(gl_FragCoord.y) / rows; }

vec3 place(int which) {
  ivec2 at = ivec2(gl_FragCoord.xy);
  uint n = first + uint(4 * ((at.y % rows) * WIDTH + at.x) + which);
  uint ray = n / counts.z;
  return origin + float(ray / counts.y) * step0 + float(ray % counts.y) * step1 + float(n % counts.z) * step2;
}

// sin(2 pi t); the reduction to half a turn is exact.  Graphics cards' own sines may err by 5e-4.
float sine(float turns) {
  float t = turns - floor(turns + 0.5);
  float q = t * t;
  float s = (((0.07722012 * q - 0.59804517) * q + 2.55003138) * q - 5.16770688) * q + 3.14159258;
  float c = ((((-0.0244207 * q + 0.23495392) * q - 1.3352161) * q + 4.0587096) * q - 4.93480216) * q + 1.0;
  return 2.0 * s * t * c;
}
