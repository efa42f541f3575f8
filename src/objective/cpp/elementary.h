// Elementary functions of whole vectors, with torch's answers: `Elementary<T>::exp(x)`.
//
// No lane calls a function of its own, but in `pow` and where `sin` and `cos` meet large arguments. What depends on x
// is computed both ways and selected. Zeros have torch's signs; infinities, NaN and subnormal results are right; errors
// are a few units in the last place, whether or not the compiler contracts a * b + c: see `test_elementary.py`. The
// polynomials are minimax (Remez, with 50 digits), weighted by what an error does to the result.

#pragma once

#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

#include "lanes.h"
#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace {

template <class T>
struct Elementary {
    static constexpr bool SINGLE = sizeof(T) == 4;
    using Word = std::conditional_t<SINGLE, uint32_t, uint64_t>;
    using Vector = typename Lanes<T>::type;
    using Bits = typename Lanes<Word>::type;
    using Mask = decltype(Vector{} < Vector{});  // of a lane, all bits or none

    static constexpr T either(float single, double twice) { return SINGLE ? T(single) : T(twice); }
    static constexpr int MANTISSA = SINGLE ? 23 : 52;     // bits
    static constexpr T BIAS = SINGLE ? 127 : 1023;        // of the exponent
    static constexpr T WHOLE = SINGLE ? 0x1p23 : 0x1p52;  // numbers from here on have no fraction
    static constexpr T SHIFT = WHOLE + WHOLE / 2;         // a number added to it is rounded to an integer
    static constexpr T INF = std::numeric_limits<T>::infinity(), NO_NUMBER = std::numeric_limits<T>::quiet_NaN();
    static constexpr T LN2 = either(0x1.62e4p-1f, 0x1.62e42fefa2p-1);  // with few digits, so that n times it is exact
    static constexpr T LN2_REST = either(0x1.7f7d1cp-20f, 0x1.9ef35793c7673p-41);
    static constexpr Word SIGN = Word(1) << (8 * sizeof(T) - 1);

    template <size_t N, size_t... I>
    __attribute__((always_inline)) static Vector horner(Vector x, const T (&c)[N], std::index_sequence<I...>) {
        Vector y = x * c[N - 1] + c[N - 2];
        ((y = y * x + c[N - 3 - I]), ...);
        return y;
    }
    // The coefficients for float or those for double, from the constant one on.
    template <size_t N, size_t M>
    __attribute__((always_inline)) static Vector polynomial(Vector x, const float (&few)[N], const double (&many)[M]) {
        if constexpr (SINGLE) return horner(x, few, std::make_index_sequence<N - 2>());
        else return horner(x, many, std::make_index_sequence<M - 2>());
    }

    static bool any(Mask mask) {
        uint64_t words[BYTES / 8], all = 0;
        std::memcpy(words, &mask, BYTES);
#pragma GCC unroll 8
        for (uint64_t word : words) all |= word;
        return all;
    }
    static Mask isnan(Vector x) { return x != x; }
    static Vector abs(Vector x) { return (Vector)((Bits)x & ~SIGN); }
    static Vector copysign(Vector size, Vector sign) { return (Vector)(((Bits)size & ~SIGN) | ((Bits)sign & SIGN)); }
    static Vector sign(Vector x) { return x > 0 ? T(1) : (x < 0 ? Vector{} - 1 : T(0)); }  // 0 of NaN
    static Vector maximum(Vector a, Vector b) { return ((a > b) | (a != a)) ? a : b; }     // NaN if either is
    static Vector minimum(Vector a, Vector b) { return ((a < b) | (a != a)) ? a : b; }
    static Vector at_most(T most, Vector x) { return x > most ? most : x; }  // NaN stays
    static Vector nearest(Vector x) { return (x + SHIFT) - SHIFT; }          // integer, if x is small beside SHIFT
    static Vector round(Vector x) {                                          // half to even
        const Vector size = abs(x);
        return copysign(size < WHOLE ? (size + WHOLE) - WHOLE : size, x);
    }
    static Vector floor(Vector x) {
        const Vector near = round(x);
        return near > x ? near - 1 : near;
    }
    static Vector ceil(Vector x) { return -floor(-x); }
    static Vector trunc(Vector x) { return copysign(floor(abs(x)), x); }

    static Vector sqrt(Vector x) {
#if defined(__AVX512F__)  // masked, since GCC 12 warns of the other form
        if constexpr (SINGLE) return (Vector)_mm512_mask_sqrt_ps((__m512)x, -1, (__m512)x);
        else return (Vector)_mm512_mask_sqrt_pd((__m512d)x, -1, (__m512d)x);
#elif defined(__AVX__)
        if constexpr (SINGLE) return (Vector)_mm256_sqrt_ps((__m256)x);
        else return (Vector)_mm256_sqrt_pd((__m256d)x);
#elif defined(__SSE2__)
        if constexpr (SINGLE) return (Vector)_mm_sqrt_ps((__m128)x);
        else return (Vector)_mm_sqrt_pd((__m128d)x);
#else
        for (int lane = 0; lane < Lanes<T>::count; lane++) x[lane] = std::sqrt(x[lane]);
        return x;
#endif
    }

    // 2^n, a normal number.
    static Vector power_of_two(Vector n) { return (Vector)((Bits)(n + (SHIFT + BIAS)) << MANTISSA); }
    // 2^n y, which may be subnormal or infinite.
    static Vector scaled(Vector y, Vector n) {
#if defined(__AVX512F__)
        if constexpr (SINGLE) return (Vector)_mm512_mask_scalef_ps((__m512)y, -1, (__m512)y, (__m512)n);
        else return (Vector)_mm512_mask_scalef_pd((__m512d)y, -1, (__m512d)y, (__m512d)n);
#else
        const Vector half = nearest(n * T(0.5));
        return y * power_of_two(half) * power_of_two(n - half);
#endif
    }

    struct Power { Vector n, q; };  // 2^n (1 + q)
    static Power power(Vector x) {  // e^x
        const Vector n = nearest(x * T(1.4426950408889634)), r = (x - n * LN2) - n * LN2_REST;
        return {n, r + r * r * polynomial(r, {0.49999993, 0.1666652, 0.0416684, 0.0083688, 0.0013814},
            {0.5000000000000011, 0.1666666666666641, 0.0416666666665292, 0.0083333333334956, 0.001388888894392,
             0.000198412695047, 2.4801492763e-5, 2.75575874e-6, 2.763038e-7, 2.5e-8})};
    }
    static Vector exp(Vector x) {
        const Power e = power(at_most(either(89, 710), -at_most(either(104, 746), -x)));
        return scaled(1 + e.q, e.n);
    }
    static Vector expm1(Vector x) {
        const Power e = power(at_most(either(89, 710), -at_most(50, -x)));
        const Vector n = at_most(BIAS, e.n), scale = power_of_two(n), y = scale * e.q + (scale - 1);
        return copysign(e.n > n ? y + y : y, x);
    }
    static Vector sigmoid(Vector x) {
        const Power e = power(-at_most(either(104, 746), abs(x)));
        const Vector y = scaled(1 + e.q, e.n);
        return (x < 0 ? y : T(1)) / (1 + y);
    }
    static Vector tanh(Vector x) {  // 1 - 2 / (1 + e^2x), and near 0 a rational function
        const Vector size = abs(x), z = x * x;
        const Power e = power(2 * at_most(20, size));
        const Vector scale = power_of_two(e.n), sum = scale * e.q + (scale + 1);
        const Vector p = polynomial(z, {-0.33333318, 0},
            {-0.3333333333333333, -0.02049986342136363, -0.00019922520993908});
        const Vector q = polynomial(z, {1, 0.39999096, -0.00185509},
            {1, 0.4614995902640857, 0.023292749830799517, 0.00020658425885338});
        const Mask is_near = size < T(0.5625);
        const Vector base = is_near ? size : T(1);
        return copysign(base + base * ((is_near ? z * p : T(-2)) / (is_near ? q : sum)), x);
    }

    struct Split { Vector n, f; };  // 2^n (1 + f), f from -0.3 to 0.42
    static Split split(Vector x) {
        constexpr Word ONE = Word(BIAS) << MANTISSA, ROOT_HALF = SINGLE ? 0x3f3504f3 : 0x3fe6a09e667f3bcd;
        const Bits b = (Bits)x + (ONE - ROOT_HALF), n = (b >> MANTISSA) + (Bits)(Vector{} + WHOLE);
        return {(Vector)n - (WHOLE + BIAS), (Vector)((b & ((Word(1) << MANTISSA) - 1)) + ROOT_HALF) - 1};
    }
    // n (unit + unit_rest) + factor log(1 + f), or what a logarithm is where x is not a positive number.
    static Vector log(Vector x, Split of, T factor = 1, T unit = LN2, T unit_rest = LN2_REST) {
        const Vector f = of.f, s = f / (2 + f), z = s * s, half = T(0.5) * f * f;
        const Vector p = polynomial(z, {0.66666777, 0.399775, 0.2987},
            {0.6666666666666735, 0.399999999994113, 0.2857142874322, 0.2222219848, 0.18183569555, 0.153139076,
             0.1479747});
        const Vector y = of.n * unit + (of.n * unit_rest + (f - (half - s * (half + z * p))) * factor);
        return x < INF ? (x > 0 ? y : (x < 0 ? NO_NUMBER : Vector{} - INF)) : x;
    }
    static Split split_any(Vector x) {
        const Mask is_small = x < std::numeric_limits<T>::min();
        const Split of = split(is_small ? x * WHOLE : x);
        return {of.n - (is_small ? Vector{} + MANTISSA : T(0)), of.f};
    }
    static Vector log(Vector x) { return log(x, split_any(x)); }
    static Vector log2(Vector x) { return log(x, split_any(x), T(1.4426950408889634), 1, 0); }
    static Vector log1p(Vector x) {
        const Vector sum = 1 + x, one = sum - x, rest = (x - (sum - one)) + (1 - one);  // 1 + x is sum + rest
        Split of = split(sum);
        of.f += x < 4 * WHOLE ? rest * power_of_two(-of.n) : T(0);
        return copysign(log(sum, of), x);
    }

    static Vector erf_near(Vector x) {  // |x| < 1
        return x + x * polynomial(x * x,
            {0.128379166, -0.376126271, 0.112836002, -0.026854445, 0.005189536, -0.000802084, 7.8891e-5},
            {0.12837916709551256, -0.3761263890318355, 0.11283791670945252, -0.026866170643276038, 0.00522397760742231,
             -0.000854832598965455, 0.00012055295319563, -1.492474465073e-5, 1.644751757668e-6, -1.62091754847e-7,
             1.3722975683e-8, -7.80118978e-10});
    }
    static Vector erf(Vector x) {
        const Vector size = abs(x), a = at_most(either(4, 6), size);
        const Power e = power(-polynomial(a,
            {0.00035372, 1.12704004, 0.63822567, 0.10303737, -0.02180532, 0.00293961, -0.000185574},
            {1.08177175925e-6, 1.128368549094724, 0.6366682552796358, 0.10263592833454709, -0.01886237675728685,
             -0.00058788932088936, 0.00210243921345192, -0.000922639545123497, 0.000232188069129159,
             -2.8682881062005e-5, -3.3749034283637e-6, 2.6106095711525e-6, -6.753607076426e-7, 1.0643139341028e-7,
             -1.072612355594e-8, 6.41061141572e-10, -1.7403006185e-11}));  // erfc(a)
        return size < 1 ? erf_near(x) : copysign(1 - power_of_two(e.n) * (1 + e.q), x);
    }
    static Vector erfc(Vector x) {
        constexpr T MIDDLE = either(2.5, 3.25);
        const Vector size = abs(x), a = at_most(either(10.25, 27.5), size), sum = a + MIDDLE, square = a * a;
        const Vector upper = (Vector)((Bits)a & (~Word(0) << (MANTISSA / 2 + 1)));
        const Vector rest = (upper * upper - square) + (a + upper) * (a - upper);  // a^2 is square + rest
        const Vector p = polynomial((a - MIDDLE) / sum,
            {1.05403182, -0.80465186, 0.45391419, -0.1712506, 0.02835957, 0.0083861, -0.0047996, -0.0004059, 0.0006262},
            {1.0811797647743422, -0.912994983295106, 0.6457337773843077, -0.37516494226376734, 0.17200591888540573,
             -0.05667521903282436, 0.00952932178941641, 0.00180732475378342, -0.001487910947422594, 0.00015936051743993,
             0.00014751045125508, -4.313980158668e-5, -1.530848105736e-5, 7.43283361327e-6, 2.00764406595e-6,
             -1.21468318692e-6, -3.4116931494e-7, 2.023807048e-7, 5.26729147e-8, -3.08709698e-8});
        const Power e = power(-square);
        const Vector scale = p / sum, tail = scaled(scale + scale * (e.q - (rest + rest * e.q)), e.n);
        return size < T(0.8) ? 1 - erf_near(x) : (x < 0 ? 2 - tail : tail);
    }

    template <bool IS_COSINE>
    static Vector wave(Vector x) {
        constexpr T LIMIT = either(1000, 1e6);
        const Vector a = abs(x), n = nearest(a * T(0.6366197723675814));
        Vector r = (a - n * either(0x1.9218p+0f, 0x1.921fb544p+0)) - n * either(0x1.ed5p-14f, 0x1.0b4611a6p-34);
        r = r - n * either(0x1.10bp-30f, 0x1.3198a2e037073p-69);  // pi / 2 in parts, like ln 2
        if constexpr (SINGLE) r = r - n * T(0x1.184698p-44f);
        const Vector z = r * r;
        const Vector s = polynomial(z, {-0.16666655, 0.008332174, -0.00019517},
            {-0.16666666666666632, 0.008333333333322316, -0.00019841269829725, 2.75573136621e-6, -2.505075327e-8,
             1.5896505e-10});
        const Vector c = polynomial(z, {0.5, -0.041666647, 0.00138874, -2.444e-5},
            {0.5, -0.0416666666666666, 0.0013888888888874, -2.48015872894e-5, 2.7557314326e-7, -2.08757196e-9,
             1.135945e-11});
        const Bits quadrant = (Bits)(n + SHIFT) + Word(IS_COSINE);
        const Bits sign = (quadrant << (8 * sizeof(T) - 2)) ^ (IS_COSINE ? Bits{} : (Bits)x);
        Vector y = (Vector)((Bits)((quadrant & 1) == 0 ? r + r * z * s : 1 - z * c) ^ (sign & SIGN));
        if (__builtin_expect(any(a > LIMIT), false))
            for (int lane = 0; lane < Lanes<T>::count; lane++)
                if (a[lane] > LIMIT) y[lane] = IS_COSINE ? std::cos(x[lane]) : std::sin(x[lane]);
        return y;
    }
    static Vector sin(Vector x) { return wave<false>(x); }
    static Vector cos(Vector x) { return wave<true>(x); }

    static Vector atan(Vector x) {
        const Vector a = abs(x), one = Vector{} + 1;
        const Mask is_far = a > T(2.414), is_middle = a > T(0.4142);
        const Vector t = (is_far ? -one : (is_middle ? a - 1 : a)) / (is_far ? a : (is_middle ? a + 1 : one));
        const Vector z = t * t, p = polynomial(z, {-0.33333315, 0.1999848, -0.1424363, 0.105943, -0.06079},
            {-0.333333333333332, 0.19999999999953247, -0.1428571428015965, 0.111111107814936, -0.09090897697755,
             0.0769205908751, -0.066630905472, 0.058477860912, -0.05038817577, 0.03805163716, -0.017892475});
        const Vector base = is_far ? T(1.5707963267948966) : (is_middle ? one * T(0.7853981633974483) : T(0));
        return copysign(base + (base * either(-2.78275e-8, 3.8981718325193755e-17) + (t + t * z * p)), x);
    }

    static Vector pow(Vector x, T exponent) {
        if (exponent == T(0.5)) return sqrt(x);
        if (exponent == T(-0.5)) return 1 / sqrt(x);
        for (int lane = 0; lane < Lanes<T>::count; lane++) x[lane] = std::pow(x[lane], exponent);
        return x;
    }
};

}  // namespace
