// The scan of decoded rows: half a warp takes four rows and one or eight queries, lane l the dimensions l, l + 16, ...,
// as the contract sums them. source.value(row, j) decodes a value, in registers.
#pragma once
#include "topk.cuh"

namespace embcodec {
namespace cuda {
namespace {

constexpr int kScanRows = 4, kManyQueries = 8;

template <bool L2>
__device__ inline float term(float q, float x) {
  return L2 ? (q - x) * (q - x) : q * x;
}

template <class Source, int Q, bool L2>
__global__ void score_rows(Source source, Group group, Call call) {
  const int64_t first = group.rows.begin + thread_number() / 16 * kScanRows;
  if (first >= group.rows.end) return;
  const int64_t query = static_cast<int64_t>(blockIdx.y) * Q;
  const int lane = static_cast<int>(threadIdx.x % 16);
  float sum[Q][kScanRows] = {}, square[kScanRows] = {}, poison[kScanRows] = {};
  EMB_ROLLED for (int64_t j = lane; j < group.d; j += 16) {
    float x[kScanRows];
    EMB_UNROLL for (int r = 0; r < kScanRows; ++r) {
      x[r] = group.allowed(first + r) ? source.value(first + r, j) : 0.0f;
      square[r] += x[r] * x[r];
      if (Source::kMayBeBad) poison[r] += x[r] - x[r];
    }
    EMB_UNROLL for (int q = 0; q < Q; ++q) {
      const float y = query + q < group.count ? group.queries[(query + q) * group.d + j] : 0.0f;
      EMB_UNROLL for (int r = 0; r < kScanRows; ++r) sum[q][r] += term<L2>(y, x[r]);
    }
  }
  const unsigned mask = half_warp();
  // Every lane has all sums in the end; lane l finishes those of pairs l, l + 16, ... of a query and a row.
  constexpr int kPairs = Q * kScanRows, kMine = (kPairs + 15) / 16;
  float total[kMine] = {}, length = 0.0f;
  EMB_UNROLL for (int r = 0; r < kScanRows; ++r) {
    if (Source::kMayBeBad && poison[r] != 0.0f) refuse(call, first + r);  // NaN is not 0 either
    if (group.metric == Metric::cosine) square[r] = sum16(square[r], mask);
    length = lane % kScanRows == r ? square[r] : length;
    EMB_UNROLL for (int q = 0; q < Q; ++q) {
      const int pair = q * kScanRows + r;
      const float all = sum16(sum[q][r], mask);
      total[pair / 16] = lane == pair % 16 ? all : total[pair / 16];
    }
  }
  const int64_t row = first + lane % kScanRows;
  EMB_UNROLL for (int i = 0; i < kMine; ++i) {
    const int pair = 16 * i + lane;
    const int64_t q = query + pair / kScanRows;
    if (pair >= kPairs || q >= group.count || !group.allowed(row)) continue;
    offer(group, q, finish_score(total[i], group.metric, __builtin_sqrtf(group.squares[q]), __builtin_sqrtf(length)),
          row);
  }
}

template <class Source, int Q>
void launch_scores(const Source& source, const Group& group, const Call& call) {
  const int64_t threads = (group.rows.end - group.rows.begin + kScanRows - 1) / kScanRows * 16;
  const dim3 grid(blocks_for(threads, kBlock), blocks_for(group.count, Q));
  if (group.metric == Metric::l2)
    EMB_LAUNCH((score_rows<Source, Q, true>), grid, kBlock, 0, call.stream, source, group, call);
  else
    EMB_LAUNCH((score_rows<Source, Q, false>), grid, kBlock, 0, call.stream, source, group, call);
  check(cudaGetLastError());
}

// The search over what `source` decodes; search_rows says what it returns.
template <class Source>
int64_t search_source(const Source& source, int64_t n, const Search& search, const Call& call) {
  return search_rows(n, search, call, [&](const Group& group) {
    if (group.count < kManyQueries / 2)
      launch_scores<Source, 1>(source, group, call);
    else
      launch_scores<Source, kManyQueries>(source, group, call);
  });
}

}  // namespace
}  // namespace cuda
}  // namespace embcodec
