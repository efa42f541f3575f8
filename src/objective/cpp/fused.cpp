// The loss of the ReLU output model and its gradient, example by example, with no [batch, feature] array in memory.
//
//     h = W x,   z = W^T h + b,   x' = ReLU(z),   L_i = sum over examples of weight (x_i - x'_i)^2
//
// The gradient is that of C = sum over features of importance_i L_i. With g = (x' - x) [z > 0], per example:
//
//     dC/db = 2 c g,   dC/dW = 2 (h^T (c g) + (W (c g))^T x)        c for importance
//
// Two loops over these formulas. `stack.h`, for few features: instances side by side in the lanes of a vector register.
// `wide.h`, for many: features side by side, a tile at a time, and the encoder's work is that of the active entries.
// Both skip what is known: an example in which nothing is active is answered with ReLU(b); in `stack.h`, one in which
// only feature j is active, with value v, is answered with z_i = v (W_i . W_j) + b_i.
//
// Every sum is taken in one order, whatever the number of threads, and a lane knows nothing of the others. NaN goes
// through. Plain C at the border, so that it builds without the headers of Python or torch.

#include "stack.h"
#include "wide.h"

namespace {

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
