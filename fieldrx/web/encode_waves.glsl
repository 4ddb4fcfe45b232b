// Four features sin(2 pi (f.p + shift)) of four points; a shift of a quarter turn makes the cosine.
uniform sampler2D waves;  // one texel per feature: f along z, y, x in cycles, shift in turns

float feature(vec4 wave, vec3 p) { return sine(dot(wave.xyz, p) + wave.w); }

vec4 features(int q, vec3 p) {
  return vec4(
    feature(texelFetch(waves, ivec2(4 * q, 0), 0), p), feature(texelFetch(waves, ivec2(4 * q + 1, 0), 0), p),
    feature(texelFetch(waves, ivec2(4 * q + 2, 0), 0), p), feature(texelFetch(waves, ivec2(4 * q + 3, 0), 0), p));
}

void main() {
  int q = quad();
  out0 = features(q, place(0));
  out1 = features(q, place(1));
  out2 = features(q, place(2));
  out3 = features(q, place(3));
}
