// RWKV-7's recurrence on the CPU, with its gradient, for training.
//
//   S[t] = S[t-1] diag(w) + (S[t-1] a) b^T + v k^T        S is N x N (rows: value, columns: key), float32
//   y[t] = S[t] r
//
// Tensors are float32 [batch, rows, heads, N], contiguous. The forward pass stores the state every CHUNK rows; the
// backward pass recomputes CHUNK states at a time and walks back through them. One task per (batch, head).

#include <ATen/Parallel.h>
#include <torch/extension.h>

#include <cstring>
#include <vector>

namespace {

constexpr int N = 64;
constexpr int CHUNK = 16;

constexpr int LANES = 16;
constexpr int PARTS = N / LANES;
typedef float lanes __attribute__((vector_size(4 * LANES), aligned(4)));

struct Row {  // one row's inputs, each [N]
    const float *r, *w, *k, *v, *a, *b;
};

struct Vector {  // N floats in registers
    lanes part[PARTS];
};

inline Vector load(const float *x) {
    Vector v;
    for (int p = 0; p < PARTS; p++) v.part[p] = *(const lanes *)(x + p * LANES);
    return v;
}

inline void store(float *x, const Vector &v) {
    for (int p = 0; p < PARTS; p++) *(lanes *)(x + p * LANES) = v.part[p];
}

inline void add_scaled(Vector &sum, const Vector &v, float scale) {
    for (int p = 0; p < PARTS; p++) sum.part[p] += v.part[p] * scale;
}

inline float dot(const Vector &one, const Vector &other) {
    lanes products = one.part[0] * other.part[0];
    for (int p = 1; p < PARTS; p++) products += one.part[p] * other.part[p];
    float sum = 0;
    for (int l = 0; l < LANES; l++) sum += products[l];
    return sum;
}

// The state is kept transposed here: row j holds what key j says of all values. sa [N] is S[t-1] a, y [N] may be NULL.
void step(float *s, const float *before, const Row &in, float *sa_out, float *y_out) {
    Vector sa = {}, y = {};
    for (int j = 0; j < N; j++) add_scaled(sa, load(before + j * N), in.a[j]);
    const Vector v = load(in.v);
    for (int j = 0; j < N; j++) {
        Vector row = load(before + j * N);
        for (int p = 0; p < PARTS; p++)
            row.part[p] = row.part[p] * in.w[j] + sa.part[p] * in.b[j] + v.part[p] * in.k[j];
        store(s + j * N, row);
        add_scaled(y, row, in.r[j]);
    }
    if (sa_out) store(sa_out, sa);
    if (y_out) store(y_out, y);
}

struct Gradient {  // one row's gradients, each [N]
    float *r, *w, *k, *v, *a, *b;
};

// ds [N, N] comes in as the gradient of S[t] from later rows and leaves as the gradient of S[t-1].
void step_back(float *ds, const float *s, const float *before, const float *sa_in, const float *dy_in, const Row &in,
               const Gradient &out) {
    const Vector dy = load(dy_in), sa = load(sa_in), v = load(in.v);
    Vector dv = {}, dsa = {};
    for (int j = 0; j < N; j++) {
        Vector d = load(ds + j * N);
        add_scaled(d, dy, in.r[j]);
        store(ds + j * N, d);
        out.r[j] = dot(dy, load(s + j * N));
        out.w[j] = dot(d, load(before + j * N));
        out.b[j] = dot(d, sa);
        out.k[j] = dot(d, v);
        add_scaled(dv, d, in.k[j]);
        add_scaled(dsa, d, in.b[j]);
    }
    for (int j = 0; j < N; j++) {
        Vector d = load(ds + j * N);
        out.a[j] = dot(dsa, load(before + j * N));
        for (int p = 0; p < PARTS; p++) d.part[p] = d.part[p] * in.w[j] + dsa.part[p] * in.a[j];
        store(ds + j * N, d);
    }
    store(out.v, dv);
}

struct Pointers {
    const float *r, *w, *k, *v, *a, *b;
    Row at(int64_t offset) const {
        return {r + offset, w + offset, k + offset, v + offset, a + offset, b + offset};
    }
};

Pointers pointers(const std::vector<torch::Tensor> &t) {
    for (const auto &x : t)
        TORCH_CHECK(x.is_contiguous() && x.scalar_type() == torch::kFloat && x.dim() == 4 && x.size(3) == N,
                    "wkv7 wants contiguous float32 [batch, rows, heads, 64]");
    return {t[0].data_ptr<float>(), t[1].data_ptr<float>(), t[2].data_ptr<float>(),
            t[3].data_ptr<float>(), t[4].data_ptr<float>(), t[5].data_ptr<float>()};
}

}  // namespace

// inputs: r w k v a b. Returns y and the states before rows 0, CHUNK, 2 CHUNK, ... [batch, heads, chunks, N, N].
std::vector<torch::Tensor> forward(const std::vector<torch::Tensor> &inputs) {
    const Pointers in = pointers(inputs);
    const int64_t batch = inputs[0].size(0), rows = inputs[0].size(1), heads = inputs[0].size(2);
    const int64_t chunks = (rows + CHUNK - 1) / CHUNK;
    auto y = torch::empty_like(inputs[0]);
    auto states = torch::empty({batch, heads, chunks, N, N}, inputs[0].options());
    float *yp = y.data_ptr<float>(), *sp = states.data_ptr<float>();
    at::parallel_for(0, batch * heads, 1, [&](int64_t begin, int64_t end) {
        std::vector<float> s(N * N);
        for (int64_t task = begin; task < end; task++) {
            const int64_t n = task / heads, h = task % heads;
            std::fill(s.begin(), s.end(), 0.0f);
            for (int64_t t = 0; t < rows; t++) {
                if (t % CHUNK == 0)
                    std::memcpy(sp + (task * chunks + t / CHUNK) * N * N, s.data(), sizeof(float) * N * N);
                const int64_t offset = ((n * rows + t) * heads + h) * N;
                const Row row = in.at(offset);
                step(s.data(), s.data(), row, nullptr, yp + offset);
            }
        }
    });
    return {y, states};
}

// Returns the gradients of r w k v a b.
std::vector<torch::Tensor> backward(const std::vector<torch::Tensor> &inputs, const torch::Tensor &states,
                                    const torch::Tensor &dy) {
    const Pointers in = pointers(inputs);
    const int64_t batch = inputs[0].size(0), rows = inputs[0].size(1), heads = inputs[0].size(2);
    const int64_t chunks = states.size(2);
    std::vector<torch::Tensor> grads;
    for (int i = 0; i < 6; i++) grads.push_back(torch::empty_like(inputs[0]));
    float *g[6];
    for (int i = 0; i < 6; i++) g[i] = grads[i].data_ptr<float>();
    const float *sp = states.data_ptr<float>(), *dyp = dy.data_ptr<float>();
    at::parallel_for(0, batch * heads, 1, [&](int64_t begin, int64_t end) {
        std::vector<float> scratch((CHUNK + 1) * N * N), sa(CHUNK * N), ds(N * N);
        for (int64_t task = begin; task < end; task++) {
            const int64_t n = task / heads, h = task % heads;
            std::fill(ds.begin(), ds.end(), 0.0f);
            auto offset = [&](int64_t t) { return ((n * rows + t) * heads + h) * N; };
            for (int64_t c = chunks - 1; c >= 0; c--) {
                const int64_t first = c * CHUNK, last = std::min(rows, first + CHUNK);
                std::memcpy(scratch.data(), sp + (task * chunks + c) * N * N, sizeof(float) * N * N);
                for (int64_t t = first; t < last; t++) {
                    float *before = scratch.data() + (t - first) * N * N;
                    step(before + N * N, before, in.at(offset(t)), sa.data() + (t - first) * N, nullptr);
                }
                for (int64_t t = last - 1; t >= first; t--) {
                    const float *before = scratch.data() + (t - first) * N * N;
                    const int64_t o = offset(t);
                    step_back(ds.data(), before + N * N, before, sa.data() + (t - first) * N, dyp + o, in.at(o),
                              {g[0] + o, g[1] + o, g[2] + o, g[3] + o, g[4] + o, g[5] + o});
                }
            }
        }
    });
    return grads;
}

PYBIND11_MODULE(TORCH_EXTENSION_NAME, m) {
    m.def("forward", &forward);
    m.def("backward", &backward);
}
