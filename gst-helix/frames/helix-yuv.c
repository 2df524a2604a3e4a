/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-yuv.h"

#include <string.h>

/* gcc unrolls and vectorises from -O3 on only; clang does at -O2. Measured:
 * 0.38 ms instead of 0.86 ms for NV12 of 1080p. */
#if defined(__GNUC__) && !defined(__clang__) && defined(__OPTIMIZE__)
#pragma GCC optimize("O3")
#endif

/* Of x86-64 every processor has SSE2. */
#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

/*
 * BT.709 in 1/256, limited range: Y = 16 + 219 (0.2126 R + 0.7152 G +
 * 0.0722 B), Cb = 128 + 224 (B - Y') / 1.8556, Cr = 128 + 224 (R - Y') /
 * 1.5748. Rounded so that white gives 235 and every grey gives 128: the luma
 * row sums to 220, each chroma row to 0.
 */
enum {
  Y_R = 47,
  Y_G = 157,
  Y_B = 16,
  U_R = -26,
  U_G = -86,
  U_B = 112,
  V_R = 112,
  V_G = -102,
  V_B = -10,
};

/* What is added to a sum before its division by 256: black's 16 or grey's 128,
 * and a half. Luma's sums are 220 * 255 at most, chroma's 112 * 255 in either
 * sign: with this, all are positive and fit 16 bits. */
enum {
  Y_BIAS = 16 * 256 + 128,
  C_BIAS = 128 * 256 + 128,
};

void
helix_yuv_weigh (
    struct helix_yuv_weights *weights, unsigned r, unsigned g, unsigned b)
{
  memset (weights, 0, sizeof *weights);
  weights->y[r] = Y_R;
  weights->y[g] = Y_G;
  weights->y[b] = Y_B;
  weights->u[r] = U_R;
  weights->u[g] = U_G;
  weights->u[b] = U_B;
  weights->v[r] = V_R;
  weights->v[g] = V_G;
  weights->v[b] = V_B;
}

/* A kernel converts as many columns as it can in its own steps. Returns: the
 * first column, even, that it left undone. */

/* ---- portable ---- */

static void
luma_row (uint8_t *restrict dst, const uint8_t *restrict p, unsigned n,
    const uint8_t weights[4])
{
  const uint16_t a = weights[0], b = weights[1], c = weights[2], d = weights[3];

  for (unsigned i = 0; i < n; i++) {
    uint16_t sum = (uint16_t) (p[4 * i] * a + p[4 * i + 1] * b
        + p[4 * i + 2] * c + p[4 * i + 3] * d + Y_BIAS);

    dst[i] = (uint8_t) (sum >> 8);
  }
}

/* The mean of a 2x2 block is taken rows first, each step rounding up: as the
 * processors' averaging instructions do. */
static inline uint16_t
mean4 (uint16_t a, uint16_t b, uint16_t c, uint16_t d)
{
  return (uint16_t) ((((a + b + 1) >> 1) + ((c + d + 1) >> 1) + 1) >> 1);
}

/* `n` samples, `step` bytes apart, of one colour difference. */
static void
chroma_row (uint8_t *restrict dst, unsigned step, const uint8_t *restrict p,
    const uint8_t *restrict q, unsigned n, const int8_t weights[4])
{
  const int16_t a = weights[0], b = weights[1], c = weights[2], d = weights[3];

  for (unsigned i = 0; i < n; i++, p += 8, q += 8) {
    int32_t sum = mean4 (p[0], q[0], p[4], q[4]) * a
        + mean4 (p[1], q[1], p[5], q[5]) * b
        + mean4 (p[2], q[2], p[6], q[6]) * c
        + mean4 (p[3], q[3], p[7], q[7]) * d;

    dst[i * step] = (uint8_t) ((sum + C_BIAS) >> 8);
  }
}

static unsigned
convert_portable (const struct helix_yuv_weights *w,
    const struct helix_yuv_rows *rows, unsigned x, unsigned end)
{
  unsigned pairs = (end - x) / 2;
  unsigned step = rows->v != NULL ? 1 : 2;
  uint8_t *u = rows->u + x / 2 * step;
  uint8_t *v = rows->v != NULL ? rows->v + x / 2 : u + 1;
  uint8_t last[2][8];

  for (unsigned r = 0; r < 2; r++)
    luma_row (rows->luma[r] + x, rows->rgb[r] + 4 * x, end - x, w->y);
  chroma_row (u, step, rows->rgb[0] + 4 * x, rows->rgb[1] + 4 * x, pairs, w->u);
  chroma_row (v, step, rows->rgb[0] + 4 * x, rows->rgb[1] + 4 * x, pairs, w->v);
  if ((end - x) % 2 == 0)
    return end;
  for (unsigned r = 0; r < 2; r++) {
    rows->luma[r][end] = rows->luma[r][end - 1];
    memcpy (last[r], rows->rgb[r] + 4 * (end - 1), 4);
    memcpy (last[r] + 4, last[r], 4);
  }
  chroma_row (u + pairs * step, step, last[0], last[1], 1, w->u);
  chroma_row (v + pairs * step, step, last[0], last[1], 1, w->v);
  return end;
}

static bool
always (void)
{
  return true;
}

/* ---- SSE2: 16 pixels at a time ---- */

#if defined(__x86_64__)

/* Weights of 16 bits for a pixel's bytes 0 and 2, and 1 and 3. */
struct halves {
  __m128i even, odd;
};

static inline __m128i
twice16 (int low, int high)
{
  return _mm_set1_epi32 ((low & 0xffff) | (int) ((unsigned) high << 16));
}

/* The samples of four pixels, in 32 bits each. */
static inline __m128i
sample_sse2 (__m128i px, struct halves w, __m128i bias)
{
  __m128i even = _mm_and_si128 (px, _mm_set1_epi16 (0xff));
  __m128i odd = _mm_srli_epi16 (px, 8);
  __m128i sum = _mm_add_epi32 (
      _mm_madd_epi16 (even, w.even), _mm_madd_epi16 (odd, w.odd));

  return _mm_srli_epi32 (_mm_add_epi32 (sum, bias), 8);
}

/* Of eight pixels, in 16 bits each. */
static inline __m128i
samples_sse2 (__m128i a, __m128i b, struct halves w, __m128i bias)
{
  return _mm_packs_epi32 (sample_sse2 (a, w, bias), sample_sse2 (b, w, bias));
}

static inline void
luma_sse2 (uint8_t *dst, const __m128i px[4], struct halves w)
{
  const __m128i bias = _mm_set1_epi32 (Y_BIAS);

  _mm_storeu_si128 ((__m128i *) (void *) dst,
      _mm_packus_epi16 (samples_sse2 (px[0], px[1], w, bias),
          samples_sse2 (px[2], px[3], w, bias)));
}

/* The mean of each pair of neighbours: 8 pixels to 4. */
static inline __m128i
pairs_sse2 (__m128i a, __m128i b)
{
  __m128 fa = _mm_castsi128_ps (a), fb = _mm_castsi128_ps (b);

  return _mm_avg_epu8 (_mm_castps_si128 (_mm_shuffle_ps (fa, fb, 0x88)),
      _mm_castps_si128 (_mm_shuffle_ps (fa, fb, 0xdd)));
}

static inline void
chroma_sse2 (
    const struct helix_yuv_rows *rows, unsigned x, __m128i u, __m128i v)
{
  __m128i both;

  if (rows->v == NULL) {
    both = _mm_or_si128 (u, _mm_slli_epi16 (v, 8));
    _mm_storeu_si128 ((__m128i *) (void *) (rows->u + x), both);
    return;
  }
  both = _mm_packus_epi16 (u, v);
  _mm_storel_epi64 ((__m128i *) (void *) (rows->u + x / 2), both);
  _mm_storel_epi64 (
      (__m128i *) (void *) (rows->v + x / 2), _mm_srli_si128 (both, 8));
}

static unsigned
convert_sse2 (const struct helix_yuv_weights *w,
    const struct helix_yuv_rows *rows, unsigned x, unsigned end)
{
  const struct halves wy = {
      twice16 (w->y[0], w->y[2]), twice16 (w->y[1], w->y[3])};
  const struct halves wu = {
      twice16 (w->u[0], w->u[2]), twice16 (w->u[1], w->u[3])};
  const struct halves wv = {
      twice16 (w->v[0], w->v[2]), twice16 (w->v[1], w->v[3])};
  const __m128i bias = _mm_set1_epi32 (C_BIAS);

  for (; x + 16 <= end; x += 16) {
    __m128i px[2][4], mean[2];

    for (unsigned r = 0; r < 2; r++) {
      const uint8_t *row = rows->rgb[r] + 4 * x;

      _mm_prefetch ((const char *) (rows->next[r] + 4 * x), _MM_HINT_T0);
      for (unsigned i = 0; i < 4; i++)
        px[r][i] =
            _mm_loadu_si128 ((const __m128i *) (const void *) (row + 16 * i));
      luma_sse2 (rows->luma[r] + x, px[r], wy);
    }
    for (unsigned i = 0; i < 4; i++)
      px[0][i] = _mm_avg_epu8 (px[0][i], px[1][i]);
    mean[0] = pairs_sse2 (px[0][0], px[0][1]);
    mean[1] = pairs_sse2 (px[0][2], px[0][3]);
    chroma_sse2 (rows, x, samples_sse2 (mean[0], mean[1], wu, bias),
        samples_sse2 (mean[0], mean[1], wv, bias));
  }
  return x;
}

/* ---- AVX2: 32 pixels at a time ---- */

#define TARGET_AVX2 __attribute__ ((target ("avx2")))

static bool
has_avx2 (void)
{
  return __builtin_cpu_supports ("avx2");
}

static inline TARGET_AVX2 __m256i
load (const uint8_t *p)
{
  return _mm256_loadu_si256 ((const __m256i *) (const void *) p);
}

static inline TARGET_AVX2 void
store (uint8_t *p, __m256i v)
{
  _mm256_storeu_si256 ((__m256i *) (void *) p, v);
}

/* Four bytes, repeated. */
static inline TARGET_AVX2 __m256i
quads (const void *four)
{
  int32_t word;

  memcpy (&word, four, sizeof word);
  return _mm256_set1_epi32 (word);
}

/* Undoes the lane order that hadd and packus leave behind. */
static inline TARGET_AVX2 __m256i
in_order (__m256i v)
{
  return _mm256_permutevar8x32_epi32 (
      v, _mm256_setr_epi32 (0, 4, 1, 5, 2, 6, 3, 7));
}

/*
 * The luma weights need 8 bits without a sign, the multiplication takes one
 * operand of each kind: so pixels lose 128 first, which the bias gives back
 * (220 * 128).
 */
static inline TARGET_AVX2 void
luma_avx2 (uint8_t *dst, const __m256i px[4], __m256i weights)
{
  const __m256i flip = _mm256_set1_epi8 ((char) 0x80);
  const __m256i bias = _mm256_set1_epi16 (220 * 128 + Y_BIAS);
  __m256i sum[4], low, high;

  for (unsigned i = 0; i < 4; i++)
    sum[i] = _mm256_maddubs_epi16 (weights, _mm256_xor_si256 (px[i], flip));
  low = _mm256_add_epi16 (_mm256_hadd_epi16 (sum[0], sum[1]), bias);
  high = _mm256_add_epi16 (_mm256_hadd_epi16 (sum[2], sum[3]), bias);
  low = _mm256_packus_epi16 (
      _mm256_srli_epi16 (low, 8), _mm256_srli_epi16 (high, 8));
  store (dst, in_order (low));
}

/* The mean of each pair of neighbours: 16 pixels to 8, lanes mixed. */
static inline TARGET_AVX2 __m256i
mean_of_pairs (__m256i a, __m256i b)
{
  __m256 fa = _mm256_castsi256_ps (a), fb = _mm256_castsi256_ps (b);
  __m256i even = _mm256_castps_si256 (_mm256_shuffle_ps (fa, fb, 0x88));
  __m256i odd = _mm256_castps_si256 (_mm256_shuffle_ps (fa, fb, 0xdd));

  /* Per lane a's two, then b's two: swap the middle quarters. */
  return _mm256_permute4x64_epi64 (_mm256_avg_epu8 (even, odd), 0xd8);
}

/* 16 means to 16 samples of 16 bits, the value in the low byte. Wraps where
 * the sum of the unsigned result needs its 16th bit, as it should. */
static inline TARGET_AVX2 __m256i
chroma_avx2 (const __m256i mean[2], __m256i weights)
{
  const __m256i bias = _mm256_set1_epi16 ((short) C_BIAS);
  __m256i sum = _mm256_hadd_epi16 (_mm256_maddubs_epi16 (mean[0], weights),
      _mm256_maddubs_epi16 (mean[1], weights));

  sum = _mm256_permute4x64_epi64 (sum, 0xd8);
  return _mm256_srli_epi16 (_mm256_add_epi16 (sum, bias), 8);
}

static inline TARGET_AVX2 void
store_half (uint8_t *p, __m256i v)
{
  v = _mm256_permute4x64_epi64 (
      _mm256_packus_epi16 (v, _mm256_setzero_si256 ()), 0xd8);
  _mm_storeu_si128 ((__m128i *) (void *) p, _mm256_castsi256_si128 (v));
}

/* The 128 bytes of 32 pixels, in lines of 64, of both rows. */
static inline TARGET_AVX2 void
fetch (const struct helix_yuv_rows *rows, unsigned x)
{
  for (unsigned r = 0; r < 2; r++) {
    _mm_prefetch ((const char *) (rows->next[r] + 4 * x), _MM_HINT_T0);
    _mm_prefetch ((const char *) (rows->next[r] + 4 * x + 64), _MM_HINT_T0);
  }
}

static TARGET_AVX2 unsigned
convert_avx2 (const struct helix_yuv_weights *w,
    const struct helix_yuv_rows *rows, unsigned x, unsigned end)
{
  const __m256i wy = quads (w->y), wu = quads (w->u), wv = quads (w->v);

  for (; x + 32 <= end; x += 32) {
    __m256i top[4], low[4], mean[2], u, v;

    fetch (rows, x);
    for (unsigned i = 0; i < 4; i++) {
      top[i] = load (rows->rgb[0] + 4 * (x + 8 * i));
      low[i] = load (rows->rgb[1] + 4 * (x + 8 * i));
    }
    luma_avx2 (rows->luma[0] + x, top, wy);
    luma_avx2 (rows->luma[1] + x, low, wy);
    for (unsigned i = 0; i < 4; i++)
      top[i] = _mm256_avg_epu8 (top[i], low[i]);
    mean[0] = mean_of_pairs (top[0], top[1]);
    mean[1] = mean_of_pairs (top[2], top[3]);
    u = chroma_avx2 (mean, wu);
    v = chroma_avx2 (mean, wv);
    if (rows->v != NULL) {
      store_half (rows->u + x / 2, u);
      store_half (rows->v + x / 2, v);
    } else {
      store (rows->u + x, _mm256_or_si256 (u, _mm256_slli_epi16 (v, 8)));
    }
  }
  return x;
}

/* ---- NEON: 16 pixels at a time ---- */

#elif defined(__aarch64__)

/* By hand, because compilers vectorise only a part of plain C: clang 14 and 19
 * leave NV12's chroma scalar, gcc 12 luma and NV12's chroma. */

static inline uint8x8_t
luma8_neon (
    uint8x8_t a, uint8x8_t b, uint8x8_t c, uint8x8_t d, const uint8x8_t w[4])
{
  uint16x8_t sum = vmull_u8 (a, w[0]);

  sum = vmlal_u8 (sum, b, w[1]);
  sum = vmlal_u8 (sum, c, w[2]);
  sum = vmlal_u8 (sum, d, w[3]);
  return vaddhn_u16 (sum, vdupq_n_u16 (Y_BIAS));
}

static inline void
luma_neon (uint8_t *dst, uint8x16x4_t px, const uint8x8_t w[4])
{
  uint8x8_t low = luma8_neon (vget_low_u8 (px.val[0]), vget_low_u8 (px.val[1]),
      vget_low_u8 (px.val[2]), vget_low_u8 (px.val[3]), w);
  uint8x8_t high =
      luma8_neon (vget_high_u8 (px.val[0]), vget_high_u8 (px.val[1]),
          vget_high_u8 (px.val[2]), vget_high_u8 (px.val[3]), w);

  vst1q_u8 (dst, vcombine_u8 (low, high));
}

static inline uint8x8_t
chroma_neon (const int16x8_t mean[4], const int16_t w[4])
{
  int16x8_t sum = vmulq_n_s16 (mean[0], w[0]);

  for (unsigned c = 1; c < 4; c++)
    sum = vmlaq_n_s16 (sum, mean[c], w[c]);
  return vaddhn_u16 (vreinterpretq_u16_s16 (sum), vdupq_n_u16 (C_BIAS));
}

static unsigned
convert_neon (const struct helix_yuv_weights *w,
    const struct helix_yuv_rows *rows, unsigned x, unsigned end)
{
  uint8x8_t wy[4];
  int16_t wu[4], wv[4];

  for (unsigned c = 0; c < 4; c++) {
    wy[c] = vdup_n_u8 (w->y[c]);
    wu[c] = w->u[c];
    wv[c] = w->v[c];
  }
  for (; x + 16 <= end; x += 16) {
    uint8x16x4_t top = vld4q_u8 (rows->rgb[0] + 4 * x);
    uint8x16x4_t low = vld4q_u8 (rows->rgb[1] + 4 * x);
    int16x8_t mean[4];
    uint8x8x2_t uv;

    luma_neon (rows->luma[0] + x, top, wy);
    luma_neon (rows->luma[1] + x, low, wy);
    for (unsigned c = 0; c < 4; c++) {
      uint8x16_t both = vrhaddq_u8 (top.val[c], low.val[c]);

      mean[c] = vreinterpretq_s16_u16 (vrshrq_n_u16 (vpaddlq_u8 (both), 1));
    }
    uv.val[0] = chroma_neon (mean, wu);
    uv.val[1] = chroma_neon (mean, wv);
    if (rows->v == NULL) {
      vst2_u8 (rows->u + x, uv);
    } else {
      vst1_u8 (rows->u + x / 2, uv.val[0]);
      vst1_u8 (rows->v + x / 2, uv.val[1]);
    }
  }
  return x;
}
#endif

/* ---- the choice ---- */

/* From the fastest on. `step`: columns that a path takes at a time, if it is
 * the one with the shortest steps; else 0. */
static const struct {
  const char *name;
  unsigned step;
  bool (*is_usable) (void);
  unsigned (*convert) (const struct helix_yuv_weights *,
      const struct helix_yuv_rows *, unsigned x, unsigned end);
} paths[] = {
#if defined(__x86_64__)
    {"avx2", 0, has_avx2, convert_avx2},
    {"sse2", 16, always, convert_sse2},
#elif defined(__aarch64__)
    {"neon", 16, always, convert_neon},
#endif
    {"portable", 0, always, convert_portable},
};
#define PATHS (sizeof paths / sizeof paths[0])

const char *
helix_yuv_path (unsigned path, bool *usable)
{
  if (path >= PATHS)
    return NULL;
  *usable = paths[path].is_usable ();
  return paths[path].name;
}

/* What is left at the end of a row, less than a step, is converted together
 * with columns before it, which come out the same: plain C takes as long for
 * four columns as AVX2 for 64. It gets only rows that are shorter than a step,
 * and the last column of an odd picture. */
void
helix_yuv_convert (unsigned path, const struct helix_yuv_weights *weights,
    const struct helix_yuv_rows *rows, unsigned left, unsigned end)
{
  unsigned even = end & ~1u, x = left;

  for (; x < end; path++) {
    unsigned step = paths[path].step;

    if (!paths[path].is_usable ())
      continue;
    x = paths[path].convert (weights, rows, x, end);
    if (step > 0 && x < even && even - left >= step)
      x = paths[path].convert (weights, rows, even - step, even);
  }
}
