// Four features of four points from the grid's table.  A texel of the table holds CHANNELS (1, 2 or 4)
// features of a node; a node takes TEXELS of them.
uniform sampler2DArray table;
uniform isampler2D levels;  // row 0: nodes along z, y, x, and mask (-1: dense); row 1: first node, scale
uniform int n_groups;

vec4 node(int index, int texel) {
  int at = index * TEXELS + texel;
  return texelFetch(table, ivec3(at & (TABLE_WIDTH - 1), (at >> TABLE_BITS) & (TABLE_WIDTH - 1),
                                 at >> (2 * TABLE_BITS)), 0);
}

// CHANNELS features of one level, interpolated between the eight nodes around p.
vec4 group(int g, vec3 p) {
  if (g >= n_groups) return vec4(0);
  ivec4 level = texelFetch(levels, ivec2(g / TEXELS, 0), 0);
  ivec4 more = texelFetch(levels, ivec2(g / TEXELS, 1), 0);
  vec3 last = vec3(level.xyz - 1);
  vec3 at = clamp((p + 1.0) * 0.5 * last, vec3(0), last);
  ivec3 cell = min(ivec3(at), level.xyz - 2);
  vec3 upper = at - vec3(cell);
  if (SMOOTH) upper = upper * upper * (3.0 - 2.0 * upper);
  vec4 total = vec4(0);
  for (int corner = 0; corner < 8; corner++) {
    ivec3 side = ivec3(corner >> 2, (corner >> 1) & 1, corner & 1);
    ivec3 c = cell + side;
    vec3 w = mix(1.0 - upper, upper, vec3(side));
    int index = level.w < 0
      ? (c.x * level.y + c.y) * level.z + c.z
      : int(uint(c.z) ^ (uint(c.y) * 2654435761u) ^ (uint(c.x) * 805459861u)) & level.w;
    total += w.x * w.y * w.z * node(more.x + index, g % TEXELS);
  }
  return total * intBitsToFloat(more.y);
}

vec4 features(int q, vec3 p) {
#if CHANNELS == 4
  return group(q, p);
#elif CHANNELS == 2
  return vec4(group(2 * q, p).xy, group(2 * q + 1, p).xy);
#else
  return vec4(group(4 * q, p).x, group(4 * q + 1, p).x, group(4 * q + 2, p).x, group(4 * q + 3, p).x);
#endif
}

void main() {
  int q = quad();
  out0 = features(q, place(0));
  out1 = features(q, place(1));
  out2 = features(q, place(2));
  out3 = features(q, place(3));
}
