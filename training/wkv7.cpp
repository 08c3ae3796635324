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

constexpr int LANES = 8;
constexpr int PARTS = N / LANES;
typedef float lanes __attribute__((vector_size(4 * LANES), aligned(4)));
typedef int places __attribute__((vector_size(4 * LANES)));

struct Row {  // one row's inputs, each [N]
    const float *r, *w, *k, *v, *a, *b;
};

struct Vector {  // N floats
    lanes part[PARTS];
};

inline lanes load(const float *x) {
    return *(const lanes *)x;
}

inline void store(float *x, lanes v) {
    *(lanes *)x = v;
}

inline Vector load_all(const float *x) {
    Vector v;
    for (int p = 0; p < PARTS; p++) v.part[p] = load(x + p * LANES);
    return v;
}

// Two vectors as one whose halves are their pairwise sums: lanes 0..3 of x + lanes 4..7 of x, then the same of y.
inline lanes fold4(lanes x, lanes y) {
    return __builtin_shuffle(x, y, places{0, 1, 2, 3, 8, 9, 10, 11}) +
           __builtin_shuffle(x, y, places{4, 5, 6, 7, 12, 13, 14, 15});
}

inline lanes fold2(lanes x, lanes y) {
    return __builtin_shuffle(x, y, places{0, 1, 8, 9, 4, 5, 12, 13}) +
           __builtin_shuffle(x, y, places{2, 3, 10, 11, 6, 7, 14, 15});
}

inline lanes fold1(lanes x, lanes y) {
    return __builtin_shuffle(x, y, places{0, 8, 2, 10, 4, 12, 6, 14}) +
           __builtin_shuffle(x, y, places{1, 9, 3, 11, 5, 13, 7, 15});
}

// The sums of eight vectors' lanes, in order.
inline lanes sums(const lanes *x) {
    const lanes one = fold2(fold4(x[0], x[4]), fold4(x[2], x[6]));
    const lanes other = fold2(fold4(x[1], x[5]), fold4(x[3], x[7]));
    return fold1(one, other);
}

// The state is kept transposed here: row j holds what key j says of all values. sa [N] is S[t-1] a, y [N] may be NULL.
// Half of the columns at a time, so that what is summed stays in registers.
void step(float *s, const float *before, const Row &in, float *sa_out, float *y_out) {
    constexpr int HALF = PARTS / 2;
    for (int first = 0; first < N; first += N / 2) {
        lanes sa[HALF] = {}, y[HALF] = {};
        for (int j = 0; j < N; j++)
            for (int p = 0; p < HALF; p++) sa[p] += load(before + j * N + first + p * LANES) * in.a[j];
        for (int j = 0; j < N; j++) {
            for (int p = 0; p < HALF; p++) {
                const int at = first + p * LANES;
                const lanes row = load(before + j * N + at) * in.w[j] + sa[p] * in.b[j] + load(in.v + at) * in.k[j];
                store(s + j * N + at, row);
                y[p] += row * in.r[j];
            }
        }
        for (int p = 0; p < HALF; p++) {
            if (sa_out) store(sa_out + first + p * LANES, sa[p]);
            if (y_out) store(y_out + first + p * LANES, y[p]);
        }
    }
}

struct Gradient {  // one row's gradients, each [N]
    float *r, *w, *k, *v, *a, *b;
};

// Two keys' part of step_back: ds of S[t], the gradients of r w k b, and their share in those of v and sa.
inline void keys_back(float *ds, const float *s, const float *before, int j, const float *sa, const float *dy,
                      const Row &in, const Gradient &out, float *dv, float *dsa) {
    lanes sum[8] = {};  // r r w w b b k k
    for (int at = 0; at < N; at += LANES) {
        const lanes dy_part = load(dy + at), sa_part = load(sa + at), v_part = load(in.v + at);
        lanes dv_part = load(dv + at), dsa_part = load(dsa + at);
        for (int n = 0; n < 2; n++) {
            const int place = (j + n) * N + at;
            const lanes d = load(ds + place) + dy_part * in.r[j + n];
            store(ds + place, d);
            sum[n] += dy_part * load(s + place);
            sum[2 + n] += d * load(before + place);
            sum[4 + n] += d * sa_part;
            sum[6 + n] += d * v_part;
            dv_part += d * in.k[j + n];
            dsa_part += d * in.b[j + n];
        }
        store(dv + at, dv_part);
        store(dsa + at, dsa_part);
    }
    const lanes whole = sums(sum);
    for (int n = 0; n < 2; n++) {
        out.r[j + n] = whole[n];
        out.w[j + n] = whole[2 + n];
        out.b[j + n] = whole[4 + n];
        out.k[j + n] = whole[6 + n];
    }
}

// ds [N, N] comes in as the gradient of S[t] from later rows and leaves as the gradient of S[t-1].
void step_back(float *ds, const float *s, const float *before, const float *sa, const float *dy, const Row &in,
               const Gradient &out) {
    float dsa_sum[N] = {};
    std::memset(out.v, 0, N * sizeof(float));
    for (int j = 0; j < N; j += 2) keys_back(ds, s, before, j, sa, dy, in, out, out.v, dsa_sum);
    const Vector dsa = load_all(dsa_sum);
    for (int j = 0; j < N; j += LANES) {
        lanes sum[LANES] = {};
        for (int n = 0; n < LANES; n++) {
            for (int p = 0; p < PARTS; p++) {
                const int place = (j + n) * N + p * LANES;
                sum[n] += dsa.part[p] * load(before + place);
                store(ds + place, load(ds + place) * in.w[j + n] + dsa.part[p] * in.a[j + n]);
            }
        }
        store(out.a + j, sums(sum));
    }
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
