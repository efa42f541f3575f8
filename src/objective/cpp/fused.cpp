// The loss of a toy model and its gradient, example by example, with no [batch, feature] array in memory.
//
//     h = W x,   z = V^T h + b,   x' = f(z),   L_i = sum over examples of weight * loss(z_i, x_i)
//
// V is W most often. What an answer costs, and the slope of that in z, g, is a policy's (`relu.h`, or one that is written
// for a model of the user's own). The gradient is that of C = sum over features of c_i L_i, c for importance. Per example:
//
//     dC/db = c g,   dC/dV = h^T (c g),   dC/dW = (V (c g))^T x        added to each other where V is W
//
// Two loops over these formulas. `stack.h`, for few features: instances side by side in the lanes of a vector register.
// `wide.h`, for many: features side by side, a tile at a time, and the encoder's work is that of the active entries.
// Both skip what is known: an example in which nothing is active is answered with f(b); in `stack.h`, one in which only
// feature j is active, with value v, is answered with z_i = v (V_i . W_j) + b_i.
//
// Every sum is taken in one order, whatever the number of threads, and a lane knows nothing of the others. NaN goes
// through. Plain C at the border, so that it builds without the headers of Python or torch.
//
// POLICY is the policy's header; DECODER is defined where V is not W. ONLY_HIDDEN and ONLY_WIDE, where given, are all that
// is built: n_hidden, or 0 for any; 1 for many features.

#ifndef POLICY
#define POLICY "relu.h"
#endif

#include "stack.h"
#include "wide.h"

namespace {

template <class T, int HIDDEN, bool WEIGHTED, bool GRADIENT>
void solve(const Problem<T> &p) {
#if !defined(ONLY_WIDE)
    p.n_features > MAX_FEATURES ? wide<T, HIDDEN, WEIGHTED, GRADIENT>(p) : stack<T, HIDDEN, WEIGHTED, GRADIENT>(p);
#elif ONLY_WIDE
    wide<T, HIDDEN, WEIGHTED, GRADIENT>(p);
#else
    stack<T, HIDDEN, WEIGHTED, GRADIENT>(p);
#endif
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
#if defined(ONLY_HIDDEN)
    solve<T, ONLY_HIDDEN>(p);
#else
    p.n_hidden == 2 ? solve<T, 2>(p) : solve<T, 0>(p);
#endif
}

}  // namespace

extern "C" void solve_float32(const Problem<float> *p) { solve(*p); }
extern "C" void solve_float64(const Problem<double> *p) { solve(*p); }
