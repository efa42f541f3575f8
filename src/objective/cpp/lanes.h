// The lanes of a vector register.

#pragma once

#include <cstdint>
namespace {

#if defined(__AVX512F__)
constexpr int BYTES = 64;
#elif defined(__AVX__)
constexpr int BYTES = 32;
#else
constexpr int BYTES = 16;
#endif

template <class T>
struct Lanes {
    typedef T type __attribute__((vector_size(BYTES), aligned(BYTES)));
    static constexpr int count = BYTES / sizeof(T);
};
template <class T>
using Vector = typename Lanes<T>::type;

// The same number in every lane, -0 too.
template <class T>
inline Vector<T> number(double x) {
    return T(x) - Vector<T>{};
}

// What an answer costs, and the slope of that cost in z.
template <class T>
struct Term {
    Vector<T> loss, slope;
};

}  // namespace
