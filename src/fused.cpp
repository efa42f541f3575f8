// The loss of the ReLU output model and its gradient, example by example, with no [batch, feature] array in memory.
//
//     h = W x,   z = W^T h + b,   x' = ReLU(z),   L_i = sum over examples of weight (x_i - x'_i)^2
//
// The gradient is that of C = sum over features of importance_i L_i. With g = (x' - x) [z > 0], per example:
//
//     dC/db = 2 c g,   dC/dW = 2 (h^T (c g) + (W (c g))^T x)        c for importance
//
// Two loops over these formulas. `stack`, for few features: instances side by side in the lanes of a vector register.
// `wide`, for many: features side by side, a tile at a time, and the work of the encoder is that of the active entries.
// Both skip what is known: an example in which nothing is active is answered with ReLU(b); in `stack`, one in which only
// feature j is active, with value v, is answered with z_i = v (W_i . W_j) + b_i.
//
// Every sum is taken in one order, whatever the number of threads, and a lane knows nothing of the others. NaN goes
// through. Plain C at the border, so that it builds without the headers of Python or torch.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>
#if defined(__AVX512F__)
#include <immintrin.h>
#endif

namespace {

#if defined(__AVX512F__)
constexpr int BYTES = 64;
#elif defined(__AVX__)
constexpr int BYTES = 32;
#else
constexpr int BYTES = 16;
#endif
constexpr int MAX_FEATURES = 16;  // of a `stack`: its weights and gradients fill the first cache
constexpr int MAX_HIDDEN = 16;    // of either; objective.py does not ask for more
constexpr int LONE = 128;         // examples whose sum is taken before it joins the total: it bounds rounding errors
constexpr int ROWS = 32;          // examples of a `stack` whose hidden vectors stay in cache
constexpr int BLOCK = 4;          // examples of `wide` that share one reading of the weights
constexpr int PANEL = 256;        // examples of `wide` whose sum is taken before it joins the total
constexpr int PLACES = 1 << 15;   // entries of dense examples that are searched at a time
constexpr int TILE = 512;         // features of `wide` whose weights and gradients stay in the first cache

template <class T>
struct Lanes {
    typedef T type __attribute__((vector_size(BYTES), aligned(BYTES)));
    static constexpr int count = BYTES / sizeof(T);
};
template <class T>
using Vector = typename Lanes<T>::type;

template <class T>
inline Vector<T> relu(Vector<T> z) {
#if defined(__AVX512F__)
    // max(0, z) as the instruction has it: the second operand where either is NaN.
    if constexpr (sizeof(T) == 4)
        return (Vector<T>)_mm512_max_ps(_mm512_setzero_ps(), (__m512)z);
    else
        return (Vector<T>)_mm512_max_pd(_mm512_setzero_pd(), (__m512d)z);
#else
    return 0 > z ? Vector<T>{} : z;
#endif
}

template <class T>
inline T relu(T z) {
    return 0 > z ? T(0) : z;
}

// What is asked for, as Python fills it in (`Problem` in fused.py). Absent arrays are null.
template <class T>
struct Problem {
    int64_t n_instances, n_hidden, n_features, n_examples, n_entries, n_threads;
    int64_t x_stride;            // from one instance's examples to the next's; 0 if they share them
    const T *W, *b;              // [instance, hidden, feature], [instance, feature]
    const T *x;                  // [instance, example, feature]; or, if they are sparse,
    const int64_t *row, *column; // [entry] each, in order of the rows,
    const T *value;              // with the entries' values
    const T *weights;            // [example]; absent: 1 / n_examples each
    const T *importance;         // [instance, feature]; absent: 1 / n_features each
    T *losses;
    T *W_gradient, *b_gradient;  // absent: only the losses are wanted

    T scale() const { return weights ? T(1) : T(1) / n_examples; }
};

inline bool is_zero(float v) { uint32_t u; std::memcpy(&u, &v, 4); return !(u << 1); }
inline bool is_zero(double v) { uint64_t u; std::memcpy(&u, &v, 8); return !(u << 1); }

// Active entries by example: those of example t are numbers start[t] to start[t + 1] - 1.
template <class T>
struct Entries {
    std::vector<int64_t> start;
    std::vector<int32_t> feature;
    std::vector<T> value;

    Entries(const Problem<T> &p, int64_t instance) : start(p.n_examples + 1) {
        if (p.x)
            read_dense(p, p.x + instance * p.x_stride);
        else
            read_sparse(p);
    }

    void read_dense(const Problem<T> &p, const T *x) {
        const int64_t n = p.n_features;
        const int64_t n_at_once = std::min(p.n_examples, std::max<int64_t>(1, PLACES / n));
        std::vector<int32_t> place(n_at_once * n);  // of the active entries among these examples
        for (int64_t t = 0; t < p.n_examples; t += n_at_once) {
            const int32_t end = std::min(n_at_once, p.n_examples - t) * n;
            int32_t count = 0, *const to = place.data();
            for (int32_t q = 0; q < end; q++) {  // without a branch, which nothing could predict
                to[count] = q;
                count += !is_zero(x[t * n + q]);
            }
            for (int32_t a = 0; a < count; a++) {
                const int32_t row = to[a] / int32_t(n);
                feature.push_back(to[a] - row * n);
                value.push_back(x[t * n + to[a]]);
                start[t + row + 1]++;
            }
        }
        add_up();
    }

    void read_sparse(const Problem<T> &p) {
        feature.assign(p.column, p.column + p.n_entries);
        value.assign(p.value, p.value + p.n_entries);
        for (int64_t e = 0; e < p.n_entries; e++) start[p.row[e] + 1]++;
        add_up();
    }

    T weight_of_empty(const Problem<T> &p) const {
        int64_t count = 0;
        double weight = 0;
        for (int64_t t = 0; t < p.n_examples; t++) {
            const bool is_empty = start[t] == start[t + 1];
            count += is_empty;
            if (p.weights && is_empty) weight += p.weights[t];
        }
        return p.weights ? weight : count;
    }

    void add_up() {
        int64_t sum = 0;
        for (int64_t &s : start) s = sum += s;
    }
};

// The examples in which something is active, with their weights.
template <class T>
struct Rows {
    std::vector<int64_t> start{0};
    std::vector<int32_t> feature;
    std::vector<T> value, weight;

    int64_t count() const { return start.size() - 1; }

    void add(const Entries<T> &entries, int64_t t, T w) {
        feature.insert(feature.end(), &entries.feature[entries.start[t]], &entries.feature[entries.start[t + 1]]);
        value.insert(value.end(), &entries.value[entries.start[t]], &entries.value[entries.start[t + 1]]);
        weight.push_back(w);
        start.push_back(feature.size());
    }
};

// Few features, many instances.

template <class T>
struct StackExamples {
    std::vector<std::vector<T>> lone, lone_weight;  // by feature: of the examples in which it alone is active
    Rows<T> rows;                                   // examples with more
    std::vector<T> target;                          // [row, feature]: these examples in full
    T empty = 0;                                    // weight of examples with nothing

    StackExamples(const Problem<T> &p, int64_t instance) : lone(p.n_features), lone_weight(p.n_features) {
        const Entries<T> entries(p, instance);
        empty = entries.weight_of_empty(p);
        for (int64_t t = 0; t < p.n_examples; t++) {
            const T weight = p.weights ? p.weights[t] : T(1);
            const int64_t first = entries.start[t], n_active = entries.start[t + 1] - first;
            if (n_active == 0) continue;
            if (n_active == 1) {
                lone[entries.feature[first]].push_back(entries.value[first]);
                lone_weight[entries.feature[first]].push_back(weight);
            } else {
                rows.add(entries, t, weight);
            }
        }
        target.resize(rows.count() * p.n_features);
        for (int64_t r = 0; r < rows.count(); r++)
            for (int64_t e = rows.start[r]; e < rows.start[r + 1]; e++)
                target[r * p.n_features + rows.feature[e]] = rows.value[e];
    }
};

template <class T>
struct LoneSums {
    Vector<T> loss{}, gv{}, g{};  // sums of weight times e^2, g v and g

    void add(const LoneSums &other) {
        loss += other.loss;
        gv += other.gv;
        g += other.g;
    }

    // One example with value v in feature j, and how feature i answers: z = v (W_i . W_j) + b_i.
    template <bool IS_OWN, bool WEIGHTED, bool GRADIENT>
    void add(Vector<T> overlap, Vector<T> b, T v, T weight) {
        const Vector<T> z = overlap * v + b;
        Vector<T> e = relu<T>(z), ge = e;
        if constexpr (IS_OWN) {  // i = j: v is what it should answer; all others should answer 0
            e -= v;
            ge = 0 >= z ? Vector<T>{} : e;
        }
        const Vector<T> we = WEIGHTED ? e * weight : e;
        loss += we * e;
        if constexpr (!GRADIENT) return;
        if constexpr (WEIGHTED) ge *= weight;
        gv += ge * v;
        g += ge;
    }
};

template <bool IS_OWN, bool WEIGHTED, bool GRADIENT, class T>
LoneSums<T> sum_lone(Vector<T> overlap, Vector<T> b, const std::vector<T> &value, const std::vector<T> &weight) {
    LoneSums<T> total;
    for (size_t first = 0; first < value.size(); first += LONE) {
        const size_t end = std::min(value.size(), first + LONE);
        LoneSums<T> even, odd;  // two chains of additions, for the latency of one
        size_t s = first;
        for (; s + 1 < end; s += 2) {
            even.template add<IS_OWN, WEIGHTED, GRADIENT>(overlap, b, value[s], WEIGHTED ? weight[s] : T(1));
            odd.template add<IS_OWN, WEIGHTED, GRADIENT>(overlap, b, value[s + 1], WEIGHTED ? weight[s + 1] : T(1));
        }
        if (s < end) even.template add<IS_OWN, WEIGHTED, GRADIENT>(overlap, b, value[s], WEIGHTED ? weight[s] : T(1));
        even.add(odd);
        total.add(even);
    }
    return total;
}

// As many instances as there are lanes, from number `first` on. HIDDEN is n_hidden, or 0 for any.
template <class T, int HIDDEN, bool WEIGHTED, bool GRADIENT>
struct StackGroup {
    static constexpr int LANES = Lanes<T>::count, MAX_M = HIDDEN ? HIDDEN : MAX_HIDDEN;
    const Problem<T> &p;
    const int n;
    const int64_t first;
    const int n_used;  // of the lanes; the others hold zeros
    Vector<T> W[MAX_FEATURES][MAX_M], cW[MAX_FEATURES][MAX_M];            // columns, and with their importance
    Vector<T> decoder[MAX_FEATURES][MAX_M], encoder[MAX_FEATURES][MAX_M]; // the two parts of the gradient; c is in one
    Vector<T> b[MAX_FEATURES], c[MAX_FEATURES], db[MAX_FEATURES], losses[MAX_FEATURES];

    StackGroup(const Problem<T> &p, int64_t first, int n_used) : p(p), n(p.n_features), first(first), n_used(n_used) {
        for (int i = 0; i < n; i++) {
            b[i] = db[i] = losses[i] = Vector<T>{};
            c[i] = Vector<T>{} + T(1) / n;
            for (int k = 0; k < n_hidden(); k++) W[i][k] = decoder[i][k] = encoder[i][k] = Vector<T>{};
        }
        for (int lane = 0; lane < n_used; lane++)
            for (int i = 0; i < n; i++) {
                const int64_t instance = first + lane;
                b[i][lane] = p.b[instance * n + i];
                if (p.importance) c[i][lane] = p.importance[instance * n + i];
                for (int k = 0; k < n_hidden(); k++) W[i][k][lane] = p.W[(instance * n_hidden() + k) * n + i];
            }
        for (int i = 0; i < n; i++)
            for (int k = 0; k < n_hidden(); k++) cW[i][k] = c[i] * W[i][k];
    }

    int n_hidden() const { return HIDDEN ? HIDDEN : p.n_hidden; }

    void run(const StackExamples<T> &examples) {
        for (int i = 0; i < n; i++) {
            const Vector<T> x = relu<T>(b[i]);
            losses[i] += x * x * examples.empty;
            db[i] += x * examples.empty;
        }
        for (int j = 0; j < n; j++)
            for (int i = 0; i < n; i++) add_lone(i, j, examples);
        for (int64_t r = 0; r < examples.rows.count(); r += ROWS)
            add_rows(examples, r, std::min<int64_t>(ROWS, examples.rows.count() - r));
        write();
    }

    void add_lone(int i, int j, const StackExamples<T> &examples) {
        Vector<T> overlap{};
        for (int k = 0; k < n_hidden(); k++) overlap += W[i][k] * W[j][k];
        const auto &value = examples.lone[j], &weight = examples.lone_weight[j];
        const LoneSums<T> sums = i == j ? sum_lone<true, WEIGHTED, GRADIENT, T>(overlap, b[i], value, weight)
                                        : sum_lone<false, WEIGHTED, GRADIENT, T>(overlap, b[i], value, weight);
        losses[i] += sums.loss;
        db[i] += sums.g;
        for (int k = 0; k < n_hidden(); k++) {
            decoder[i][k] += sums.gv * W[j][k];
            encoder[j][k] += sums.gv * cW[i][k];
        }
    }

    void add_rows(const StackExamples<T> &examples, int64_t first_row, int n_rows) {
        const Rows<T> &rows = examples.rows;
        Vector<T> h[ROWS][MAX_M], dh[ROWS][MAX_M];
        for (int r = 0; r < n_rows; r++) {
            for (int k = 0; k < n_hidden(); k++) h[r][k] = dh[r][k] = Vector<T>{};
            for (int64_t e = rows.start[first_row + r]; e < rows.start[first_row + r + 1]; e++)
                for (int k = 0; k < n_hidden(); k++) h[r][k] += W[rows.feature[e]][k] * rows.value[e];
        }
        for (int i = 0; i < n; i++) {
            Vector<T> loss{}, bias{}, column[MAX_M], Wi[MAX_M], cWi[MAX_M];
            for (int k = 0; k < n_hidden(); k++) {
                column[k] = Vector<T>{};
                Wi[k] = W[i][k];
                cWi[k] = cW[i][k];
            }
            const T *target = &examples.target[first_row * n + i];
            for (int r = 0; r < n_rows; r++) {
                Vector<T> z = b[i];
                for (int k = 0; k < n_hidden(); k++) z += Wi[k] * h[r][k];
                const Vector<T> e = relu<T>(z) - target[r * n];
                const Vector<T> we = WEIGHTED ? e * rows.weight[first_row + r] : e;
                const Vector<T> g = 0 >= z ? Vector<T>{} : we;
                loss += we * e;
                if constexpr (!GRADIENT) continue;
                bias += g;
                for (int k = 0; k < n_hidden(); k++) {
                    column[k] += g * h[r][k];
                    dh[r][k] += g * cWi[k];
                }
            }
            losses[i] += loss;
            db[i] += bias;
            for (int k = 0; k < n_hidden(); k++) decoder[i][k] += column[k];
        }
        if constexpr (!GRADIENT) return;
        for (int r = 0; r < n_rows; r++)
            for (int64_t e = rows.start[first_row + r]; e < rows.start[first_row + r + 1]; e++)
                for (int k = 0; k < n_hidden(); k++) encoder[rows.feature[e]][k] += dh[r][k] * rows.value[e];
    }

    void write() {
        const T scale = p.scale();
        for (int i = 0; i < n; i++) {
            losses[i] *= scale;
            db[i] *= 2 * scale * c[i];
            for (int k = 0; k < n_hidden(); k++) decoder[i][k] = 2 * scale * (c[i] * decoder[i][k] + encoder[i][k]);
        }
        for (int lane = 0; lane < n_used; lane++)
            for (int i = 0; i < n; i++) {
                const int64_t instance = first + lane;
                p.losses[instance * n + i] = losses[i][lane];
                if constexpr (!GRADIENT) continue;
                p.b_gradient[instance * n + i] = db[i][lane];
                for (int k = 0; k < n_hidden(); k++)
                    p.W_gradient[(instance * n_hidden() + k) * n + i] = decoder[i][k][lane];
            }
    }
};

template <class T, int HIDDEN, bool WEIGHTED, bool GRADIENT>
void stack(const Problem<T> &p) {
    constexpr int LANES = Lanes<T>::count;
    if (p.x_stride) {
#pragma omp parallel for schedule(dynamic, 4) num_threads(p.n_threads) if (p.n_threads > 1)
        for (int64_t i = 0; i < p.n_instances; i++)
            StackGroup<T, HIDDEN, WEIGHTED, GRADIENT>(p, i, 1).run(StackExamples<T>(p, i));
        return;
    }
    const StackExamples<T> examples(p, 0);
    const int64_t n_groups = (p.n_instances + LANES - 1) / LANES;
#pragma omp parallel for schedule(dynamic, 4) num_threads(p.n_threads) if (p.n_threads > 1)
    for (int64_t group = 0; group < n_groups; group++) {
        const int64_t first = group * LANES;
        StackGroup<T, HIDDEN, WEIGHTED, GRADIENT>(p, first, std::min<int64_t>(LANES, p.n_instances - first)).run(examples);
    }
}

// Many features, few instances.

template <class T>
struct WideExamples {
    Rows<T> rows;
    T empty = 0;  // weight of examples with nothing

    WideExamples(const Problem<T> &p, int64_t instance) {
        const Entries<T> entries(p, instance);
        empty = entries.weight_of_empty(p);
        for (int64_t t = 0; t < p.n_examples; t++)
            if (entries.start[t] != entries.start[t + 1]) rows.add(entries, t, p.weights ? p.weights[t] : T(1));
    }
};

// One instance.
template <class T, int HIDDEN, bool WEIGHTED, bool GRADIENT>
struct WideInstance {
    static constexpr int LANES = Lanes<T>::count, MAX_M = HIDDEN ? HIDDEN : MAX_HIDDEN, VECTORS = TILE / LANES;
    const Problem<T> &p;
    const WideExamples<T> &examples;
    const int64_t instance, n;
    const T *W, *b, *c;
    std::vector<T> h;   // [row, hidden]
    std::vector<T> dh;  // [tile, row, hidden]: what each tile of features sends back to the hidden vectors

    WideInstance(const Problem<T> &p, const WideExamples<T> &examples, int64_t instance)
        : p(p), examples(examples), instance(instance), n(p.n_features),
          W(p.W + instance * p.n_hidden * p.n_features), b(p.b + instance * p.n_features), c(p.importance ? p.importance + instance * p.n_features : nullptr) {}

    int n_hidden() const { return HIDDEN ? HIDDEN : p.n_hidden; }
    int64_t n_tiles() const { return (n + TILE - 1) / TILE; }

    void run(int64_t n_threads) {
        const Rows<T> &rows = examples.rows;
        h.assign(rows.count() * n_hidden(), 0);
        dh.resize(n_tiles() * rows.count() * n_hidden());
        for (int64_t r = 0; r < rows.count(); r++)
            for (int64_t e = rows.start[r]; e < rows.start[r + 1]; e++)
                for (int k = 0; k < n_hidden(); k++) h[r * n_hidden() + k] += W[k * n + rows.feature[e]] * rows.value[e];
        if (n_threads > 1) {  // else not even an idle parallel region, which OpenMP would count as one to nest in
#pragma omp parallel for schedule(dynamic) num_threads(n_threads)
            for (int64_t tile = 0; tile < n_tiles(); tile++) decode(tile);
        } else {
            for (int64_t tile = 0; tile < n_tiles(); tile++) decode(tile);
        }
        for (int64_t tile = 1; tile < n_tiles(); tile++)
            for (int64_t q = 0; q < rows.count() * n_hidden(); q++) dh[q] += dh[tile * rows.count() * n_hidden() + q];
        encode_back();
    }

    struct Tile {
        Vector<T> W[MAX_M][VECTORS], cW[MAX_M][VECTORS], b[VECTORS];                // the weights
        Vector<T> dW[MAX_M][VECTORS], db[VECTORS], losses[VECTORS];                 // sums over a panel of examples
        Vector<T> dW_total[MAX_M][VECTORS], db_total[VECTORS], losses_total[VECTORS];
        Vector<T> x[BLOCK][VECTORS];
        bool is_active[VECTORS];  // whether x is not all zero there
    };

    void decode(int64_t number) {
        const int64_t first = number * TILE;
        const int size = std::min<int64_t>(TILE, n - first), n_vectors = (size + LANES - 1) / LANES;
        const Rows<T> &rows = examples.rows;
        Tile tile{};  // zeros, which the lanes behind the last feature keep
        for (int i = 0; i < size; i++) {
            tile.b[i / LANES][i % LANES] = b[first + i];
            for (int k = 0; k < n_hidden(); k++) {
                const T w = W[k * n + first + i];
                tile.W[k][i / LANES][i % LANES] = w;
                tile.cW[k][i / LANES][i % LANES] = w * (c ? c[first + i] : T(1) / n);
            }
        }
        for (int v = 0; v < n_vectors; v++) {
            const Vector<T> x = relu<T>(tile.b[v]);
            tile.losses_total[v] = x * x * examples.empty;
            tile.db_total[v] = x * examples.empty;
        }
        std::vector<int64_t> next(rows.count());  // of each row's entries, the first that is in this tile
        for (int64_t r = 0; r < rows.count(); r++) {
            const int32_t *of_row = rows.feature.data();
            next[r] = std::lower_bound(of_row + rows.start[r], of_row + rows.start[r + 1], first) - of_row;
        }
        for (int64_t r = 0; r < rows.count(); r += BLOCK) {
            decode_block(tile, r, std::min<int64_t>(BLOCK, rows.count() - r), first, n_vectors, next, number);
            if ((r / BLOCK + 1) % (PANEL / BLOCK) == 0) end_panel(tile, n_vectors);
        }
        end_panel(tile, n_vectors);
        write(tile, first, size);
    }

    void decode_block(Tile &tile, int64_t row, int n_rows, int64_t first, int n_vectors,
                      const std::vector<int64_t> &next, int64_t number) {
        const Rows<T> &rows = examples.rows;
        const auto each_entry = [&](auto act) {
            for (int q = 0; q < n_rows; q++)
                for (int64_t e = next[row + q]; e < rows.start[row + q + 1]; e++) {
                    const int64_t i = rows.feature[e] - first;
                    if (i >= TILE) break;
                    act(q, i / LANES, i % LANES, rows.value[e]);
                }
        };
        each_entry([&](int q, int64_t v, int64_t lane, T value) {
            tile.x[q][v][lane] = value;
            tile.is_active[v] = true;
        });
        T hidden[BLOCK][MAX_M] = {}, weight[BLOCK] = {};  // rows that are missing have weight 0
        for (int q = 0; q < n_rows; q++) {
            weight[q] = rows.weight[row + q];
            for (int k = 0; k < n_hidden(); k++) hidden[q][k] = h[(row + q) * n_hidden() + k];
        }
        Vector<T> back[BLOCK][MAX_M] = {};
        const auto answer = [&](int v, auto is_active, auto is_whole) {
            const Vector<T> bias = tile.b[v];
            Vector<T> loss = tile.losses[v], db = tile.db[v];
            for (int q = 0; q < BLOCK; q++) {
                Vector<T> z = bias;
                for (int k = 0; k < n_hidden(); k++) z += tile.W[k][v] * hidden[q][k];
                Vector<T> e = relu<T>(z);
                if constexpr (is_active) e -= tile.x[q][v];
                Vector<T> we = e;
                if constexpr (WEIGHTED || !is_whole) we *= weight[q];
                loss += we * e;
                if constexpr (!GRADIENT) continue;
                if constexpr (is_active) we = 0 >= z ? Vector<T>{} : we;
                db += we;
                for (int k = 0; k < n_hidden(); k++) {
                    tile.dW[k][v] += we * hidden[q][k];
                    back[q][k] += we * tile.cW[k][v];
                }
            }
            tile.losses[v] = loss;
            tile.db[v] = db;
        };
        const std::true_type yes;
        const std::false_type no;
        if (n_rows < BLOCK)
            for (int v = 0; v < n_vectors; v++) answer(v, yes, no);
        else
            for (int v = 0; v < n_vectors; v++) tile.is_active[v] ? answer(v, yes, yes) : answer(v, no, yes);
        each_entry([&](int q, int64_t v, int64_t lane, T) {
            tile.x[q][v][lane] = 0;
            tile.is_active[v] = false;
        });
        for (int q = 0; q < n_rows; q++)
            for (int k = 0; k < n_hidden(); k++) {
                T sum = 0;
                for (int lane = 0; lane < LANES; lane++) sum += back[q][k][lane];
                dh[(number * rows.count() + row + q) * n_hidden() + k] = sum;
            }
    }

    void end_panel(Tile &tile, int n_vectors) {
        for (int v = 0; v < n_vectors; v++) {
            tile.losses_total[v] += tile.losses[v];
            tile.db_total[v] += tile.db[v];
            tile.losses[v] = tile.db[v] = Vector<T>{};
            for (int k = 0; k < n_hidden(); k++) {
                tile.dW_total[k][v] += tile.dW[k][v];
                tile.dW[k][v] = Vector<T>{};
            }
        }
    }

    void write(const Tile &tile, int64_t first, int size) const {
        const T scale = p.scale();
        for (int i = 0; i < size; i++) {
            const T importance = 2 * scale * (c ? c[first + i] : T(1) / n);
            p.losses[instance * n + first + i] = tile.losses_total[i / LANES][i % LANES] * scale;
            if constexpr (!GRADIENT) continue;
            p.b_gradient[instance * n + first + i] = tile.db_total[i / LANES][i % LANES] * importance;
            for (int k = 0; k < n_hidden(); k++)
                p.W_gradient[(instance * n_hidden() + k) * n + first + i] =
                    tile.dW_total[k][i / LANES][i % LANES] * importance;
        }
    }

    void encode_back() const {
        if constexpr (!GRADIENT) return;
        const Rows<T> &rows = examples.rows;
        const T twice = 2 * p.scale();
        T *dW = p.W_gradient + instance * n_hidden() * n;
        for (int64_t r = 0; r < rows.count(); r++)
            for (int64_t e = rows.start[r]; e < rows.start[r + 1]; e++)
                for (int k = 0; k < n_hidden(); k++) dW[k * n + rows.feature[e]] += twice * rows.value[e] * dh[r * n_hidden() + k];
    }
};

template <class T, int HIDDEN, bool WEIGHTED, bool GRADIENT>
void wide(const Problem<T> &p) {
    using Instance = WideInstance<T, HIDDEN, WEIGHTED, GRADIENT>;
    std::vector<WideExamples<T>> shared;
    if (!p.x_stride) shared.emplace_back(p, 0);
    const auto run = [&](int64_t i, int64_t n_threads) {
        if (p.x_stride)
            Instance(p, WideExamples<T>(p, i), i).run(n_threads);
        else
            Instance(p, shared[0], i).run(n_threads);
    };
    if (p.n_instances < p.n_threads) {  // the threads share an instance's tiles
        for (int64_t i = 0; i < p.n_instances; i++) run(i, p.n_threads);
        return;
    }
#pragma omp parallel for schedule(dynamic) num_threads(p.n_threads) if (p.n_threads > 1)
    for (int64_t i = 0; i < p.n_instances; i++) run(i, 1);
}

template <class T, int HIDDEN, bool WEIGHTED, bool GRADIENT>
void solve(const Problem<T> &p) {
    if (p.n_features <= MAX_FEATURES)
        stack<T, HIDDEN, WEIGHTED, GRADIENT>(p);
    else
        wide<T, HIDDEN, WEIGHTED, GRADIENT>(p);
}

template <class T, int HIDDEN>
void solve(const Problem<T> &p) {
    if (!p.W_gradient)
        solve<T, HIDDEN, true, false>(p);  // with weights of 1 where none are given
    else
        p.weights ? solve<T, HIDDEN, true, true>(p) : solve<T, HIDDEN, false, true>(p);
}

template <class T>
void solve(const Problem<T> &p) {
    p.n_hidden == 2 ? solve<T, 2>(p) : solve<T, 0>(p);
}

}  // namespace

extern "C" void solve_float32(const Problem<float> *p) { solve(*p); }
extern "C" void solve_float64(const Problem<double> *p) { solve(*p); }
