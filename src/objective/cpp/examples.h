// What both loops share: sums, what is asked for, and examples without their zeros.

#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "lanes.h"

namespace {

constexpr int PANEL = 128;       // examples whose sum is taken before it joins the total
#if defined(DECODER)
constexpr bool UNTIED = true;
#else
constexpr bool UNTIED = false;
#endif
constexpr int PLACES = 1 << 15;  // entries of dense examples that are searched at a time

// A sum of many terms, each itself a sum over a panel of examples. Compensated (Kahan 1965), so that its rounding error
// does not grow with their number.
template <class T>
struct Total {
    Vector<T> sum, lost;  // begin as zeros: `Total<T>{}`

    void add(Vector<T> term) {
        const Vector<T> owed = term - lost, next = sum + owed;
        lost = (next - sum) - owed;
        sum = next;
    }
};

// What is asked for, as Python fills it in (`_Problem` in kernel.py). Absent arrays are null.
template <class T>
struct Problem {
    int64_t n_instances, n_hidden, n_features, n_examples, n_entries, n_threads;
    int64_t x_stride;            // from one instance's examples to the next's; 0 if they share them
    const T *W, *V, *b;          // [instance, hidden, feature] twice, [instance, feature]; V is the decoder if UNTIED
    const T *x;                  // [instance, example, feature]; or, if they are sparse,
    const int64_t *row, *column; // [entry] each, in order of the rows,
    const T *value;              // with the entries' values
    const T *weights;            // [example]; absent: 1 / n_examples each
    const T *importance;         // [instance, feature]; absent: 1 / n_features each
    T *losses;
    T *W_gradient, *b_gradient, *V_gradient;  // absent: only the losses are wanted

    T scale() const { return weights ? T(1) : T(1) / n_examples; }
};

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
                count += x[t * n + q] != 0;
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
        const int64_t first = entries.start[t], end = entries.start[t + 1];
        feature.insert(feature.end(), entries.feature.data() + first, entries.feature.data() + end);
        value.insert(value.end(), entries.value.data() + first, entries.value.data() + end);
        weight.push_back(w);
        start.push_back(feature.size());
    }
};

}  // namespace
