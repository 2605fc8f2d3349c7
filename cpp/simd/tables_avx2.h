// Look-ups in tables of bytes for 64 rows at a time, with AVX2: kernels/adc_bytes.inl.h says what for.
#pragma once
#include "bytes_avx2.h"

namespace embcodec {
namespace EMB_ISA {
namespace {

#define EMB_BYTE_TABLES 1
constexpr int kPlaneRows = 64;        // by halves of 32
constexpr int kLongTableQueries = 3;  // at most these share codes of 8 bits: more are faster with tables of floats
constexpr bool kFours = false;        // codes of 4 bits are transposed by fours
constexpr bool kLongStrips = false;   // codes of 8 bits in columns are summed by strips
constexpr int64_t kFewColumns = 32;   // can be read side by side

// 16 bytes of 32 rows, `stride` bytes apart, transposed: byte b of all rows goes to planes + b * kPlaneRows. A vector
// takes rows r and r + 16, so that its halves are 16 x 16 transposes.
inline void transpose_bytes(const uint8_t* codes, int64_t stride, uint8_t* planes, const uint8_t* ahead, int64_t step) {
  const auto half = [](const uint8_t* p) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)); };
  const int64_t sixteen = 16 * stride;
  __m256i a[16], b[16];
#pragma GCC unroll 16
  for (int r = 0; r < 16; ++r, codes += stride, ahead += step) {
    a[r] = _mm256_inserti128_si256(_mm256_castsi128_si256(half(codes)), half(codes + sixteen), 1);
    prefetch_ahead(ahead);
  }
#pragma GCC unroll 16
  for (int stage = 0; stage < 4; ++stage) {  // each doubles the run of rows that lie together
#pragma GCC unroll 16
    for (int r = 0; r < 8; ++r) {
      b[2 * r] = _mm256_unpacklo_epi8(a[r], a[r + 8]);
      b[2 * r + 1] = _mm256_unpackhi_epi8(a[r], a[r + 8]);
    }
#pragma GCC unroll 16
    for (int r = 0; r < 16; ++r) a[r] = b[r];
  }
#pragma GCC unroll 16
  for (int r = 0; r < 16; ++r) _mm256_storeu_si256(reinterpret_cast<__m256i*>(planes + r * kPlaneRows), a[r]);
}

template <bool>
EMB_OP void transpose_codes(const uint8_t* codes, int64_t stride, uint8_t* planes, const uint8_t* ahead, int64_t step) {
  transpose_bytes(codes, stride, planes, ahead, step / 2);
  transpose_bytes(codes + 32 * stride, stride, planes + 32, ahead + step / 2 * 16, step / 2);
}

// Four columns of kPlaneRows rows.
template <bool>
EMB_OP void put_columns(const uint8_t* const* columns, uint8_t* planes) {
  for (int i = 0; i < 4; ++i) __builtin_memcpy(planes + i * kPlaneRows, columns[i], kPlaneRows);
}

// Where the 16 entries of subspace s lie.
EMB_OP int64_t short_place(int64_t s) { return 16 * s; }
EMB_OP __m256i short_entries(const uint8_t* table, __m256i codes) {
  const __m128i entries = _mm_loadu_si128(reinterpret_cast<const __m128i*>(table));
  return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(entries), codes);
}

// The low four bits choose in each of 16 parts of a table, where a shuffle gives 0 if the highest is set: so that two
// parts make one; the bits between choose among these.
EMB_OP __m256i long_entries(const uint8_t* table, __m256i codes) {
  const __m256i other = _mm256_xor_si256(codes, _mm256_set1_epi8(-128));
  const __m256i bit4 = _mm256_slli_epi16(codes, 3), bit5 = _mm256_slli_epi16(codes, 2);
  const auto eighth = [&](int i) {
    return _mm256_or_si256(short_entries(table + 16 * i, codes), short_entries(table + 128 + 16 * i, other));
  };
  const auto half = [&](int i) {
    const __m256i first = _mm256_blendv_epi8(eighth(i), eighth(i + 1), bit4);
    return _mm256_blendv_epi8(first, _mm256_blendv_epi8(eighth(i + 2), eighth(i + 3), bit4), bit5);
  };
  return _mm256_blendv_epi8(half(0), half(4), _mm256_slli_epi16(codes, 1));
}

// Sums of 32 rows, as words of even rows + 256 * odd rows and of odd rows, one after the other.
struct Sums32 {
  __m256i first, second;
};
EMB_OP Sums32 in_order(__m256i both, __m256i odd) {
  const __m256i even = _mm256_sub_epi16(both, _mm256_slli_epi16(odd, 8));
  // Within halves: rows 0-7 and 16-23, 8-15 and 24-31.
  const __m256i low = _mm256_unpacklo_epi16(even, odd), high = _mm256_unpackhi_epi16(even, odd);
  return {_mm256_permute2x128_si256(low, high, 0x20), _mm256_permute2x128_si256(low, high, 0x31)};
}

// What becomes of the sums of rows: whether they are at least those in `least`, (Q, kPlaneRows), or the sums
// themselves.
struct AtLeast {
  const uint16_t* least;
  uint64_t* rows;  // zeros
  EMB_OP void operator()(int q, int from, Sums32 s) const {
    const __m256i* limit = reinterpret_cast<const __m256i*>(least + q * kPlaneRows + from);
    const auto reached = [](__m256i sums, const __m256i* at) {
      return _mm256_cmpeq_epi16(_mm256_max_epu16(sums, _mm256_loadu_si256(at)), sums);
    };
    const __m256i marks = _mm256_packs_epi16(reached(s.first, limit), reached(s.second, limit + 1));
    const uint64_t bits = static_cast<uint32_t>(_mm256_movemask_epi8(_mm256_permute4x64_epi64(marks, 0xd8)));
    rows[q] |= bits << from;
  }
};
struct ToMemory {
  uint16_t* sums;  // (Q, kPlaneRows)
  EMB_OP void operator()(int q, int from, Sums32 s) const {
    __m256i* to = reinterpret_cast<__m256i*>(sums + q * kPlaneRows + from);
    _mm256_storeu_si256(to, s.first);
    _mm256_storeu_si256(to + 1, s.second);
  }
};

// Sums of entries, one for each code of BITS bits, for Q queries, whose tables lie `size` bytes apart. Entries are at
// most 127, so that two fit a byte. Not inlined: the compiler then keeps the sums in registers.
template <int BITS, int Q, class Finish>
__attribute__((noinline)) void add_up(const uint8_t* planes, int64_t stride, int64_t bytes, const uint8_t* table,
                                      int64_t size, Finish finish) {
  constexpr int H = BITS == 4 && Q == 1 ? 2 : 1;  // halves of the rows that share the entries that are loaded
  const __m256i nibble = _mm256_set1_epi8(15);
  for (int from = 0; from < kPlaneRows; from += 32 * H) {
    __m256i both[H][Q], odd[H][Q];  // words: even rows + 256 * odd rows, odd rows
    for (int h = 0; h < H; ++h)
      for (int q = 0; q < Q; ++q) both[h][q] = odd[h][q] = _mm256_setzero_si256();
    const uint8_t *plane = planes + from, *entry = table;
    for (int64_t b = 0; b < bytes; ++b, plane += stride, entry += BITS == 8 ? 256 : 32) {
      if (from == 0) __builtin_prefetch(plane + kColumnAhead);
      for (int h = 0; h < H; ++h) {
        const __m256i codes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(plane + 32 * h));
        const __m256i low = _mm256_and_si256(codes, nibble);
        const __m256i high = _mm256_and_si256(_mm256_srli_epi16(codes, 4), nibble);
        for (int q = 0; q < Q; ++q) {
          const uint8_t* of_query = entry + q * size;
          const __m256i entries =
              BITS == 8 ? long_entries(of_query, codes)
                        : _mm256_add_epi8(short_entries(of_query, low), short_entries(of_query + 16, high));
          both[h][q] = _mm256_add_epi16(both[h][q], entries);
          odd[h][q] = _mm256_add_epi16(odd[h][q], _mm256_srli_epi16(entries, 8));
        }
      }
    }
    for (int h = 0; h < H; ++h)
      for (int q = 0; q < Q; ++q) finish(q, from + 32 * h, in_order(both[h][q], odd[h][q]));
  }
}

// Adds up the entries of G columns of codes of 4 bits, which stay in registers meanwhile.
template <int G>
EMB_OP void add_columns(const uint8_t* columns, int64_t stride, int64_t rows, const uint8_t* table, bool first,
                        uint16_t* sums) {
  const __m256i nibble = _mm256_set1_epi8(15);
  __m256i entries[2 * G];
#pragma GCC unroll 4
  for (int i = 0; i < 2 * G; ++i)
    entries[i] = _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table + 16 * i)));
  for (int64_t r = 0; r < rows; r += 32, columns += 32, sums += 32) {
    __m256i* at = reinterpret_cast<__m256i*>(sums);
    __m256i both = first ? _mm256_setzero_si256() : _mm256_loadu_si256(at);
    __m256i odd = first ? _mm256_setzero_si256() : _mm256_loadu_si256(at + 1);
#pragma GCC unroll 4
    for (int g = 0; g < G; ++g) {
      const __m256i codes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(columns + g * stride));
      const __m256i low = _mm256_shuffle_epi8(entries[2 * g], _mm256_and_si256(codes, nibble));
      const __m256i high =
          _mm256_shuffle_epi8(entries[2 * g + 1], _mm256_and_si256(_mm256_srli_epi16(codes, 4), nibble));
      const __m256i sum = _mm256_add_epi8(low, high);
      both = _mm256_add_epi16(both, sum);
      odd = _mm256_add_epi16(odd, _mm256_srli_epi16(sum, 8));
    }
    _mm256_storeu_si256(at, both);
    _mm256_storeu_si256(at + 1, odd);
  }
}

// Of codes in columns `stride` apart, the sums of the entries of many rows: of each 32, words of even rows + 256 * odd
// rows, then odd rows.
template <int BITS>
__attribute__((noinline)) void sum_columns(const uint8_t* columns, int64_t stride, int64_t rows, int64_t bytes,
                                           const uint8_t* table, uint16_t* sums) {
  static_assert(BITS == 4);
  int64_t b = 0;
  for (; b + 4 <= bytes; b += 4, columns += 4 * stride, table += 128)
    add_columns<4>(columns, stride, rows, table, b == 0, sums);
  for (; b < bytes; ++b, columns += stride, table += 32) add_columns<1>(columns, stride, rows, table, b == 0, sums);
}

// What becomes of the sums of kPlaneRows rows that sum_columns left.
template <class Finish>
EMB_OP void finish_sums(const uint16_t* sums, Finish finish) {
  const __m256i* at = reinterpret_cast<const __m256i*>(sums);
  for (int h = 0; h < 2; ++h)
    finish(0, 32 * h, in_order(_mm256_loadu_si256(at + 2 * h), _mm256_loadu_si256(at + 2 * h + 1)));
}

// Of Q queries, which rows' sums are at least those in `least`, (Q, kPlaneRows).
template <int BITS, int Q, bool>
EMB_OP void rows_reaching(const uint8_t* planes, int64_t stride, int64_t bytes, const uint8_t* table, int64_t size,
                          const uint16_t* least, uint64_t* rows) {
  add_up<BITS, Q>(planes, stride, bytes, table, size, AtLeast{least, rows});
}

// The sums themselves, for codes of 4 bits: (Q, kPlaneRows).
template <int Q, bool>
EMB_OP void sum_rows(const uint8_t* planes, int64_t stride, int64_t bytes, const uint8_t* table, int64_t size,
                     uint16_t* sums) {
  add_up<4, Q>(planes, stride, bytes, table, size, ToMemory{sums});
}

}  // namespace
}  // namespace EMB_ISA
}  // namespace embcodec
