// Four neurons of a layer at four points: activation(W^T (hidden, features) + b).
uniform sampler2D hidden0, hidden1, hidden2, hidden3;
uniform sampler2D features0, features1, features2, features3;
uniform sampler2D weights;  // row: a quad of neurons; 4 texels per quad of inputs, then the bias
uniform int n_hidden, n_features;  // quads of inputs
uniform int first_row;
uniform int activation;  // 0 none, 1 leaky ReLU, 2 sine
uniform float slope, turns;
uniform int channel;  // output layer: which output; otherwise -1

mat4 matrix(int q, int row) {
  return mat4(texelFetch(weights, ivec2(4 * q, row), 0), texelFetch(weights, ivec2(4 * q + 1, row), 0),
              texelFetch(weights, ivec2(4 * q + 2, row), 0), texelFetch(weights, ivec2(4 * q + 3, row), 0));
}

vec4 activate(vec4 v) {
  if (activation == 1) return max(v, slope * v);
  if (activation == 2) return vec4(sine(turns * v.x), sine(turns * v.y), sine(turns * v.z), sine(turns * v.w));
  return v;
}

void main() {
  ivec2 at = ivec2(gl_FragCoord.x, int(gl_FragCoord.y) % rows);
  int row = first_row + quad();
  vec4 bias = texelFetch(weights, ivec2(4 * (n_hidden + n_features), row), 0);
  vec4 a = bias, b = bias, c = bias, d = bias;
  for (int q = 0; q < n_hidden; q++) {
    mat4 w = matrix(q, row);
    ivec2 from = at + ivec2(0, q * rows);
    a += w * texelFetch(hidden0, from, 0);
    b += w * texelFetch(hidden1, from, 0);
    c += w * texelFetch(hidden2, from, 0);
    d += w * texelFetch(hidden3, from, 0);
  }
  for (int q = 0; q < n_features; q++) {
    mat4 w = matrix(n_hidden + q, row);
    ivec2 from = at + ivec2(0, q * rows);
    a += w * texelFetch(features0, from, 0);
    b += w * texelFetch(features1, from, 0);
    c += w * texelFetch(features2, from, 0);
    d += w * texelFetch(features3, from, 0);
  }
  if (channel >= 0) {  // one output of the four points
    out0 = vec4(a[channel], b[channel], c[channel], d[channel]);
  } else {
    out0 = activate(a);
    out1 = activate(b);
    out2 = activate(c);
    out3 = activate(d);
  }
}
