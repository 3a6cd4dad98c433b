// W1 by hand: the direct method on the skin-cell network, lanes in lockstep, nothing general.
//
// What a careful C++ programmer would write for this one network; `w1.py` builds it with -O3 for
// the processor at hand and compares. Prints mean A and mean B at the last time and the events.
// Arguments: runs, seed, and the four rates.

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

constexpr int L = 64, T = 21;
typedef uint64_t u64;

static double A[L], B[L], t[L], next_t[L], target[L], wanted[L], total[L], c0[L], c1[L], c2[L];
static u64 s0[L], s1[L], s2[L], s3[L];
static long run[L], row[L];
static double sums[T][5];

static inline u64 bits(double x) { u64 y; std::memcpy(&y, &x, 8); return y; }
static inline double number(u64 x) { double y; std::memcpy(&y, &x, 8); return y; }
static inline double uniform(u64 x) {
    return number((x >> 12) | 0x3FF0000000000000ULL) - (1.0 - 0x1p-53);
}
static inline u64 mix(u64 x) {
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBULL;
    return x ^ (x >> 31);
}
static inline double waiting(double u, double total) {
    u64 shifted = bits(u) - 0x3FE6A09E667F3BCDULL + (64ULL << 52), e = shifted >> 52;
    double exponent = number(e | 0x4330000000000000ULL) - (0x1p52 + 64.0);
    double m = number(bits(u) - (e << 52) + (64ULL << 52));
    double scale = 1.0 / ((m + 1.0) * total), s = (m - 1.0) * total * scale, z = s * s;
    double p = 0.1531383769920937332 + z * 0.1479819860511658591;
    p = 0.2222219843214978396 + z * (0.1818357216161805012 + z * p);
    p = z * (0.6666666666666735130 + z * (0.3999999999940941908 + z * (0.2857142874366239149 + z * p)));
    return -(exponent * 0.6931471805599453 + (2.0 * s + s * p)) * ((m + 1.0) * scale);
}

static void load(int l, long index, u64 seed) {
    const u64 golden = 0x9E3779B97F4A7C15ULL;
    u64 base = mix(seed + golden) ^ mix((index + 1) * 0x94D049BB133111EBULL);
    s0[l] = mix(base + golden);
    s1[l] = mix(base + 2 * golden);
    s2[l] = mix(base + 3 * golden);
    s3[l] = mix(base + 4 * golden);
    A[l] = 10.0; B[l] = 0.0; row[l] = 0; wanted[l] = 0.0; run[l] = index;
}

int main(int, char **argv) {
    const long runs = std::atol(argv[1]);
    const u64 seed = std::strtoull(argv[2], nullptr, 10);
    const double r0 = std::atof(argv[3]), r1 = std::atof(argv[4]), r2 = std::atof(argv[5]),
                 r3 = std::atof(argv[6]);
    long loaded = 0, active = 0;
    long long events = 0;
    for (int l = 0; l < L; l++) {
        load(l, loaded, seed);
        t[l] = 0.0;
        if (loaded < runs) { loaded++; active++; } else { run[l] = -1; wanted[l] = INFINITY; }
    }
    while (active > 0) {
        int late = 0;
        for (int l = 0; l < L; l++) {
            c0[l] = r0 * A[l];
            c1[l] = c0[l] + r1 * A[l];
            c2[l] = c1[l] + r2 * A[l];
            total[l] = c2[l] + r3 * B[l];
            u64 a = s0[l], b = s1[l], c = s2[l], d = s3[l], sum = a + d;
            u64 x = ((sum << 23) | (sum >> 41)) + a, shifted = b << 17;
            c ^= a; d ^= b; b ^= c; a ^= d; c ^= shifted; d = (d << 45) | (d >> 19);
            sum = a + d;
            u64 y = ((sum << 23) | (sum >> 41)) + a;
            shifted = b << 17;
            c ^= a; d ^= b; b ^= c; a ^= d; c ^= shifted; d = (d << 45) | (d >> 19);
            s0[l] = a; s1[l] = b; s2[l] = c; s3[l] = d;
            double then = t[l] + waiting(uniform(x), total[l]);
            target[l] = uniform(y) * total[l];
            next_t[l] = then;
            late += !(then <= wanted[l]);
        }
        events += active;
        if (late)
            for (int l = 0; l < L; l++) {
                if (next_t[l] <= wanted[l] || run[l] < 0) continue;
                if (total[l] < 1e-290) next_t[l] = INFINITY;
                for (; row[l] < T && row[l] < next_t[l]; row[l]++) {
                    double *s = sums[row[l]];
                    s[0] += A[l]; s[1] += B[l];
                    s[2] += A[l] * A[l]; s[3] += B[l] * B[l]; s[4] += A[l] * B[l];
                }
                if (row[l] < T) { wanted[l] = row[l]; continue; }
                target[l] = -1.0;
                next_t[l] = 0.0;
                if (loaded < runs) load(l, loaded++, seed);
                else { active--; run[l] = -1; wanted[l] = INFINITY; }
            }
        for (int l = 0; l < L; l++) {
            double x = target[l];
            bool none = !(x > 0.0), e0 = x <= c0[l], e1 = x <= c1[l], e2 = x <= c2[l];
            A[l] += none ? 0.0 : e0 ? 1.0 : e1 ? 0.0 : e2 ? -1.0 : 0.0;
            B[l] += none ? 0.0 : e0 ? 0.0 : e1 ? 1.0 : e2 ? 2.0 : -1.0;
            t[l] = next_t[l];
        }
    }
    std::printf("%.10g %.10g %lld\n", sums[T - 1][0] / runs, sums[T - 1][1] / runs, events - runs);
}
