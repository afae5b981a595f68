/*
 * Stopline's compute kernels. One C11 source, two builds: native (Node-API) and WebAssembly SIMD.
 *
 * Rules: no libm, no allocation, no globals, no I/O. A kernel reads pixels, uses caller-owned scratch memory and writes
 * plain sums, counts and histograms into `out` (doubles; integers up to 2^53 are exact in them). Roots, logarithms and
 * ratios are taken in TypeScript (statistics.ts). Integer results are bit-identical in both builds; float kernels use an
 * explicit lane order (never a compiler-chosen reduction) and -ffp-contract=off, so that they agree too.
 */
#ifndef STOPLINE_CORE_H
#define STOPLINE_CORE_H

#include <stddef.h>
#include <stdint.h>

#endif
