// The loss and gradient of a model that is written out whole (POLICY, by `programs.py`): instances side by side in the
// lanes of a vector register, example by example. Empty examples are computed once, with all their weight.

#include "examples.h"
#include "threads.h"
#include POLICY

namespace {

// What is asked for, as Python fills it in (`_Problem` in written_out.py). Absent arrays are null.
template <class T>
struct WholeProblem {
    int64_t n_instances, n_features, n_examples, n_tensors, n_threads;
    int64_t x_stride;             // from one instance's examples to the next's; 0 if they share them
    const int64_t *size;          // of each parameter, of one instance
    const T *const *parameters;   // [instance, size] each
    const T *x;                   // [instance, example, feature]
    const T *weights;             // [example]; absent: 1 / n_examples each
    T *losses;                    // [instance, loss]
    T *const *gradients;          // like the parameters; absent: only the losses are wanted
};

// The examples in which something is active.
template <class T>
struct Active {
    std::vector<const T *> x;
    std::vector<T> weight;
    const std::vector<T> nothing;
    T empty = 0;

    Active(const WholeProblem<T> &p, int64_t instance) : nothing(p.n_features) {
        double weight_of_empty = 0;
        for (int64_t t = 0; t < p.n_examples; t++) {
            const T *row = p.x + instance * p.x_stride + t * p.n_features, w = p.weights ? p.weights[t] : T(1) / p.n_examples;
            if (std::all_of(row, row + p.n_features, [](T v) { return v == 0; })) {
                weight_of_empty += w;
            } else {
                x.push_back(row);
                weight.push_back(w);
            }
        }
        empty = weight_of_empty;
    }
};

template <class T, bool GRADIENT>
void run_group(const WholeProblem<T> &p, const Active<T> &active, int64_t first, int n_used) {
    Vector<T> parameters[N_PARAMETERS], losses[N_LOSSES], gradients[N_PARAMETERS];
    Total<T> losses_total[N_LOSSES], gradients_total[N_PARAMETERS];
    const auto each = [&](auto act) {  // number, parameter, place in it
        for (int64_t k = 0, i = 0; k < p.n_tensors; k++)
            for (int64_t q = 0; q < p.size[k]; q++) act(i++, k, q);
    };
    const auto end_panel = [&] {
        for (int i = 0; i < N_LOSSES; i++) {
            losses_total[i].add(losses[i]);
            losses[i] = Vector<T>{};
        }
        for (int i = 0; i < N_PARAMETERS; i++) {
            gradients_total[i].add(gradients[i]);
            gradients[i] = Vector<T>{};
        }
    };
    for (int i = 0; i < N_LOSSES; i++) losses[i] = Vector<T>{}, losses_total[i] = Total<T>{};
    for (int i = 0; i < N_PARAMETERS; i++) {
        parameters[i] = gradients[i] = Vector<T>{};
        gradients_total[i] = Total<T>{};
    }
    for (int lane = 0; lane < n_used; lane++)
        each([&](int64_t i, int64_t k, int64_t q) { parameters[i][lane] = p.parameters[k][(first + lane) * p.size[k] + q]; });
    if (active.empty != 0) add_example<T, GRADIENT>(parameters, active.nothing.data(), active.empty, losses, gradients);
    for (size_t t = 0; t < active.x.size(); t++) {
        if (t % PANEL == 0) end_panel();
        add_example<T, GRADIENT>(parameters, active.x[t], active.weight[t], losses, gradients);
    }
    end_panel();
    for (int lane = 0; lane < n_used; lane++) {
        for (int i = 0; i < N_LOSSES; i++) p.losses[(first + lane) * N_LOSSES + i] = losses_total[i].sum[lane];
        if constexpr (GRADIENT)
            each([&](int64_t i, int64_t k, int64_t q) {
                p.gradients[k][(first + lane) * p.size[k] + q] = gradients_total[i].sum[lane];
            });
    }
}

template <class T, bool GRADIENT>
void run(const WholeProblem<T> &p) {
    constexpr int LANES = Lanes<T>::count;
    if (p.x_stride) {
        threads().run(p.n_instances, p.n_threads, [&](int64_t i) { run_group<T, GRADIENT>(p, Active<T>(p, i), i, 1); });
        return;
    }
    const Active<T> active(p, 0);
    threads().run((p.n_instances + LANES - 1) / LANES, p.n_threads, [&](int64_t group) {
        const int64_t first = group * LANES;
        run_group<T, GRADIENT>(p, active, first, std::min<int64_t>(LANES, p.n_instances - first));
    });
}

template <class T>
void run(const WholeProblem<T> &p) {
    p.gradients ? run<T, true>(p) : run<T, false>(p);
}

}  // namespace

extern "C" void solve_float32(const WholeProblem<float> *p) { run(*p); }
extern "C" void solve_float64(const WholeProblem<double> *p) { run(*p); }
