// Many features, few instances: features side by side, a tile at a time.

#pragma once

#include "examples.h"
#include "threads.h"

namespace {

constexpr int BLOCK = 4;   // examples that share one reading of the weights; PANEL is a multiple
constexpr int TILE = 512;  // features whose weights and gradients stay in the first cache

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
    const T *W, *V, *b, *c;  // V is the decoder's, which most often is W
    std::vector<T> h;   // [row, hidden]
    std::vector<T> dh;  // [tile, row, hidden]: what each tile of features sends back to the hidden vectors

    WideInstance(const Problem<T> &p, const WideExamples<T> &examples, int64_t instance)
        : p(p), examples(examples), instance(instance), n(p.n_features),
          W(p.W + instance * p.n_hidden * p.n_features),
          V(UNTIED ? p.V + instance * p.n_hidden * p.n_features : W), b(p.b + instance * p.n_features),
          c(p.importance ? p.importance + instance * p.n_features : nullptr) {}

    int n_hidden() const { return HIDDEN ? HIDDEN : p.n_hidden; }
    int64_t n_tiles() const { return (n + TILE - 1) / TILE; }

    void run(int64_t n_threads) {
        const Rows<T> &rows = examples.rows;
        h.assign(rows.count() * n_hidden(), 0);
        dh.resize(n_tiles() * rows.count() * n_hidden());
        for (int64_t r = 0; r < rows.count(); r++)
            for (int64_t e = rows.start[r]; e < rows.start[r + 1]; e++)
                for (int k = 0; k < n_hidden(); k++)
                    h[r * n_hidden() + k] += W[k * n + rows.feature[e]] * rows.value[e];
        threads().run(n_tiles(), n_threads, [&](int64_t tile) { decode(tile); });
        for (int64_t tile = 1; tile < n_tiles(); tile++)
            for (int64_t q = 0; q < rows.count() * n_hidden(); q++) dh[q] += dh[tile * rows.count() * n_hidden() + q];
        encode_back();
    }

    struct Tile {
        Vector<T> V[MAX_M][VECTORS], cV[MAX_M][VECTORS], b[VECTORS];                // the weights
        Vector<T> dV[MAX_M][VECTORS], db[VECTORS], losses[VECTORS];                 // sums over a panel of examples
        Total<T> dV_total[MAX_M][VECTORS], db_total[VECTORS], losses_total[VECTORS];
        Vector<T> x[BLOCK][VECTORS];
        Vector<T> is_feature[VECTORS];  // 1, and 0 behind the last
        bool is_active[VECTORS];  // whether x is not all zero there
    };

    void decode(int64_t number) {
        const int64_t first = number * TILE;
        const int size = std::min<int64_t>(TILE, n - first), n_vectors = (size + LANES - 1) / LANES;
        const Rows<T> &rows = examples.rows;
        Tile tile{};  // zeros, which the lanes behind the last feature keep
        for (int i = 0; i < size; i++) {
            tile.b[i / LANES][i % LANES] = b[first + i];
            tile.is_feature[i / LANES][i % LANES] = 1;
            for (int k = 0; k < n_hidden(); k++) {
                const T w = V[k * n + first + i];
                tile.V[k][i / LANES][i % LANES] = w;
                tile.cV[k][i / LANES][i % LANES] = w * (c ? c[first + i] : T(1) / n);
            }
        }
        for (int v = 0; v < n_vectors; v++) {
            const Term<T> term = Policy::at_empty<T>(tile.b[v], examples.empty);
            tile.losses_total[v].add(term.loss);
            tile.db_total[v].add(term.slope);
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
                for (int k = 0; k < n_hidden(); k++) z += tile.V[k][v] * hidden[q][k];
                Term<T> term = Policy::at<is_active, WEIGHTED || !is_whole>(z, tile.x[q][v], weight[q]);
                if constexpr (!Policy::IS_FINITE) term.slope = tile.is_feature[v] > 0 ? term.slope : Vector<T>{};
                loss += term.loss;
                if constexpr (!GRADIENT) continue;
                db += term.slope;
                for (int k = 0; k < n_hidden(); k++) {
                    tile.dV[k][v] += term.slope * hidden[q][k];
                    back[q][k] += term.slope * tile.cV[k][v];
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
            tile.losses_total[v].add(tile.losses[v]);
            tile.db_total[v].add(tile.db[v]);
            tile.losses[v] = tile.db[v] = Vector<T>{};
            for (int k = 0; k < n_hidden(); k++) {
                tile.dV_total[k][v].add(tile.dV[k][v]);
                tile.dV[k][v] = Vector<T>{};
            }
        }
    }

    void write(const Tile &tile, int64_t first, int size) const {
        const T scale = p.scale();
        for (int i = 0; i < size; i++) {
            const T importance = Policy::FACTOR * scale * (c ? c[first + i] : T(1) / n);
            p.losses[instance * n + first + i] = tile.losses_total[i / LANES].sum[i % LANES] * scale;
            if constexpr (!GRADIENT) continue;
            p.b_gradient[instance * n + first + i] = tile.db_total[i / LANES].sum[i % LANES] * importance;
            for (int k = 0; k < n_hidden(); k++)
                (UNTIED ? p.V_gradient : p.W_gradient)[(instance * n_hidden() + k) * n + first + i] =
                    tile.dV_total[k][i / LANES].sum[i % LANES] * importance;
        }
    }

    void encode_back() const {
        if constexpr (!GRADIENT) return;
        const Rows<T> &rows = examples.rows;
        std::vector<double> sum(n_hidden() * n);  // double, since a feature may be active in any number of examples
        for (int64_t r = 0; r < rows.count(); r++)
            for (int64_t e = rows.start[r]; e < rows.start[r + 1]; e++)
                for (int k = 0; k < n_hidden(); k++)
                    sum[k * n + rows.feature[e]] += double(rows.value[e]) * dh[r * n_hidden() + k];
        T *dW = p.W_gradient + instance * n_hidden() * n;
        if constexpr (UNTIED) std::fill(dW, dW + n_hidden() * n, T(0));
        for (int64_t q = 0; q < n_hidden() * n; q++) dW[q] += Policy::FACTOR * p.scale() * sum[q];
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
    threads().run(p.n_instances, p.n_threads, [&](int64_t i) { run(i, 1); });
}

}  // namespace
