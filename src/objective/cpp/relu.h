// The post's policy: x' = ReLU(z) with the squared error.
//
// A policy says what one answer costs and how fast that grows with z, both times the example's weight. `policies.py`
// writes the others, with the same two functions.

#pragma once

#include "lanes.h"
#if defined(__AVX512F__)
#include <immintrin.h>
#endif

namespace {

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

struct Policy {
    static constexpr bool IS_FINITE = true;  // whether cost and slope are, at every z
    static constexpr int FACTOR = 2;  // times which a slope is dC/dz: of a square, the two is left to the end

    // Feature by feature: z and what should come out, x, which is 0 unless IS_ACTIVE.
    template <bool IS_ACTIVE, bool WEIGHTED, class T, class X>
    static Term<T> at(Vector<T> z, X x, T weight) {
        Vector<T> e = relu<T>(z);
        if constexpr (IS_ACTIVE) e -= x;
        const Vector<T> we = WEIGHTED ? e * weight : e;
        return {we * e, IS_ACTIVE ? (0 >= z ? Vector<T>{} : we) : we};
    }

    // All the empty examples at once: z is the bias.
    template <class T>
    static Term<T> at_empty(Vector<T> b, T weight) {
        const Vector<T> x = relu<T>(b);
        return {x * x * weight, x * weight};
    }
};

}  // namespace
