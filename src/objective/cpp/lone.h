// Examples in which one feature alone is active: nothing is encoded, the Gram matrix W^T W answers.

#pragma once

#include "examples.h"
#include POLICY

namespace {

template <class T>
struct LoneSums {
    Vector<T> loss{}, gv{}, g{};  // sums of the losses, slopes times v, and slopes

    // One example with value v in feature j, and how feature i answers: z = v (W_i . W_j) + b_i.
    template <bool IS_OWN, bool WEIGHTED, bool GRADIENT>
    void add(Vector<T> overlap, Vector<T> b, T v, T weight) {
        const Term<T> term = Policy::at<IS_OWN, WEIGHTED>(overlap * v + b, v, weight);  // i = j: v is what i should answer
        loss += term.loss;
        if constexpr (!GRADIENT) return;
        gv += term.slope * v;
        g += term.slope;
    }
};

template <bool IS_OWN, bool WEIGHTED, bool GRADIENT, class T>
LoneSums<T> sum_panel(Vector<T> overlap, Vector<T> b, const std::vector<T> &value, const std::vector<T> &weight,
                      size_t first, size_t end) {
    LoneSums<T> even, odd;  // two chains of additions, for the latency of one
    size_t s = first;
    for (; s + 1 < end; s += 2) {
        even.template add<IS_OWN, WEIGHTED, GRADIENT>(overlap, b, value[s], WEIGHTED ? weight[s] : T(1));
        odd.template add<IS_OWN, WEIGHTED, GRADIENT>(overlap, b, value[s + 1], WEIGHTED ? weight[s + 1] : T(1));
    }
    if (s < end) even.template add<IS_OWN, WEIGHTED, GRADIENT>(overlap, b, value[s], WEIGHTED ? weight[s] : T(1));
    return {even.loss + odd.loss, even.gv + odd.gv, even.g + odd.g};
}

template <bool IS_OWN, bool WEIGHTED, bool GRADIENT, class T>
LoneSums<T> sum_lone(Vector<T> overlap, Vector<T> b, const std::vector<T> &value, const std::vector<T> &weight) {
    if (value.size() <= PANEL)
        return sum_panel<IS_OWN, WEIGHTED, GRADIENT, T>(overlap, b, value, weight, 0, value.size());
    Total<T> loss{}, gv{}, g{};
    for (size_t first = 0; first < value.size(); first += PANEL) {
        const size_t end = std::min(value.size(), first + PANEL);
        const auto sums = sum_panel<IS_OWN, WEIGHTED, GRADIENT, T>(overlap, b, value, weight, first, end);
        loss.add(sums.loss);
        gv.add(sums.gv);
        g.add(sums.g);
    }
    return {loss.sum, gv.sum, g.sum};
}

}  // namespace
