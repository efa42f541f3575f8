// Few features, many instances: side by side in the lanes of a vector register.

#pragma once

#include "examples.h"
#include "lone.h"
#include "threads.h"

namespace {

constexpr int MAX_FEATURES = 16;  // its weights and gradients fill the first cache
constexpr int ROWS = 64;          // examples whose hidden vectors stay there with them

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

// As many instances as there are lanes, from number `first` on. HIDDEN is n_hidden, or 0 for any.
template <class T, int HIDDEN, bool WEIGHTED, bool GRADIENT>
struct StackGroup {
    static constexpr int MAX_M = HIDDEN ? HIDDEN : MAX_HIDDEN;
    const Problem<T> &p;
    const int n;
    const int64_t first;
    const int n_used;  // of the lanes; the others hold zeros
    Vector<T> W[MAX_FEATURES][MAX_M];                                        // columns of the encoder, and of
    Vector<T> V[UNTIED ? MAX_FEATURES : 1][MAX_M], cV[MAX_FEATURES][MAX_M];  // the decoder, and with their importance
    Vector<T> decoder[MAX_FEATURES][MAX_M], encoder[MAX_FEATURES][MAX_M];    // gradients; c is in the second
    Vector<T> b[MAX_FEATURES], c[MAX_FEATURES], db[MAX_FEATURES], losses[MAX_FEATURES];
    Total<T> decoder_total[MAX_FEATURES][MAX_M], encoder_total[MAX_FEATURES][MAX_M];
    Total<T> db_total[MAX_FEATURES], losses_total[MAX_FEATURES];

    StackGroup(const Problem<T> &p, int64_t first, int n_used) : p(p), n(p.n_features), first(first), n_used(n_used) {
        for (int i = 0; i < n; i++) {
            b[i] = db[i] = losses[i] = Vector<T>{};
            c[i] = Vector<T>{} + T(1) / n;
            db_total[i] = losses_total[i] = Total<T>{};
            for (int k = 0; k < n_hidden(); k++) {
                W[i][k] = V[UNTIED ? i : 0][k] = decoder[i][k] = encoder[i][k] = Vector<T>{};
                decoder_total[i][k] = encoder_total[i][k] = Total<T>{};
            }
        }
        for (int lane = 0; lane < n_used; lane++)
            for (int i = 0; i < n; i++) {
                const int64_t instance = first + lane;
                b[i][lane] = p.b[instance * n + i];
                if (p.importance) c[i][lane] = p.importance[instance * n + i];
                for (int k = 0; k < n_hidden(); k++) {
                    W[i][k][lane] = p.W[(instance * n_hidden() + k) * n + i];
                    if constexpr (UNTIED) V[i][k][lane] = p.V[(instance * n_hidden() + k) * n + i];
                }
            }
        for (int i = 0; i < n; i++)
            for (int k = 0; k < n_hidden(); k++) cV[i][k] = c[i] * column(i)[k];
    }

    int n_hidden() const { return HIDDEN ? HIDDEN : p.n_hidden; }

    // Of the decoder, which most often is the encoder.
    const Vector<T> *column(int i) const {
        if constexpr (UNTIED) return V[i];
        return W[i];
    }

    void run(const StackExamples<T> &examples) {
        for (int i = 0; i < n; i++) {
            const Term<T> term = Policy::at_empty<T>(b[i], examples.empty);
            losses[i] += term.loss;
            db[i] += term.slope;
        }
        for (int j = 0; j < n; j++)
            for (int i = 0; i < n; i++) add_lone(i, j, examples);
        for (int64_t r = 0; r < examples.rows.count(); r += ROWS) {
            if (r > 0) end_panel();
            add_rows(examples, r, std::min<int64_t>(ROWS, examples.rows.count() - r));
        }
        end_panel();
        write();
    }

    void end_panel() {
        const auto move = [](Vector<T> &sum, Total<T> &total) {
            total.add(sum);
            sum = Vector<T>{};
        };
        for (int i = 0; i < n; i++) {
            move(losses[i], losses_total[i]);
            move(db[i], db_total[i]);
            for (int k = 0; k < n_hidden(); k++) {
                move(decoder[i][k], decoder_total[i][k]);
                move(encoder[i][k], encoder_total[i][k]);
            }
        }
    }

    void add_lone(int i, int j, const StackExamples<T> &examples) {
        Vector<T> overlap{};
        for (int k = 0; k < n_hidden(); k++) overlap += column(i)[k] * W[j][k];
        const auto &value = examples.lone[j], &weight = examples.lone_weight[j];
        const LoneSums<T> sums = i == j ? sum_lone<true, WEIGHTED, GRADIENT, T>(overlap, b[i], value, weight)
                                        : sum_lone<false, WEIGHTED, GRADIENT, T>(overlap, b[i], value, weight);
        losses[i] += sums.loss;
        db[i] += sums.g;
        for (int k = 0; k < n_hidden(); k++) {
            decoder[i][k] += sums.gv * W[j][k];
            encoder[j][k] += sums.gv * cV[i][k];
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
            Vector<T> loss{}, bias{}, sum[MAX_M], Vi[MAX_M], cVi[MAX_M];
            for (int k = 0; k < n_hidden(); k++) {
                sum[k] = Vector<T>{};
                Vi[k] = column(i)[k];
                cVi[k] = cV[i][k];
            }
            const T *target = &examples.target[first_row * n + i];
            for (int r = 0; r < n_rows; r++) {
                Vector<T> z = b[i];
                for (int k = 0; k < n_hidden(); k++) z += Vi[k] * h[r][k];
                const Term<T> term = Policy::at<true, WEIGHTED>(z, target[r * n], rows.weight[first_row + r]);
                loss += term.loss;
                if constexpr (!GRADIENT) continue;
                bias += term.slope;
                for (int k = 0; k < n_hidden(); k++) {
                    sum[k] += term.slope * h[r][k];
                    dh[r][k] += term.slope * cVi[k];
                }
            }
            losses[i] += loss;
            db[i] += bias;
            for (int k = 0; k < n_hidden(); k++) decoder[i][k] += sum[k];
        }
        if constexpr (!GRADIENT) return;
        for (int r = 0; r < n_rows; r++)
            for (int64_t e = rows.start[first_row + r]; e < rows.start[first_row + r + 1]; e++)
                for (int k = 0; k < n_hidden(); k++) encoder[rows.feature[e]][k] += dh[r][k] * rows.value[e];
    }

    void write() {
        const T scale = p.scale();
        for (int i = 0; i < n; i++) {
            losses[i] = scale * losses_total[i].sum;
            db[i] = Policy::FACTOR * scale * c[i] * db_total[i].sum;
            for (int k = 0; k < n_hidden(); k++) {
                if constexpr (UNTIED) {
                    decoder[i][k] = Policy::FACTOR * scale * c[i] * decoder_total[i][k].sum;
                    encoder[i][k] = Policy::FACTOR * scale * encoder_total[i][k].sum;
                } else {
                    encoder[i][k] =
                        Policy::FACTOR * scale * (c[i] * decoder_total[i][k].sum + encoder_total[i][k].sum);
                }
            }
        }
        for (int lane = 0; lane < n_used; lane++)
            for (int i = 0; i < n; i++) {
                const int64_t instance = first + lane;
                p.losses[instance * n + i] = losses[i][lane];
                if constexpr (!GRADIENT) continue;
                p.b_gradient[instance * n + i] = db[i][lane];
                for (int k = 0; k < n_hidden(); k++) {
                    p.W_gradient[(instance * n_hidden() + k) * n + i] = encoder[i][k][lane];
                    if constexpr (UNTIED) p.V_gradient[(instance * n_hidden() + k) * n + i] = decoder[i][k][lane];
                }
            }
    }
};

template <class T, int HIDDEN, bool WEIGHTED, bool GRADIENT>
void stack(const Problem<T> &p) {
    constexpr int LANES = Lanes<T>::count;
    if (p.x_stride) {
        threads().run(p.n_instances, p.n_threads, [&](int64_t i) {
            StackGroup<T, HIDDEN, WEIGHTED, GRADIENT>(p, i, 1).run(StackExamples<T>(p, i));
        });
        return;
    }
    const StackExamples<T> examples(p, 0);
    const int64_t n_groups = (p.n_instances + LANES - 1) / LANES;
    threads().run(n_groups, p.n_threads, [&](int64_t group) {
        const int64_t first = group * LANES;
        const int n_used = std::min<int64_t>(LANES, p.n_instances - first);
        StackGroup<T, HIDDEN, WEIGHTED, GRADIENT>(p, first, n_used).run(examples);
    });
}

}  // namespace
