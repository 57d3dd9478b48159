// Rounds a row of fp32 numbers to bf16 with vectors; the same bits as BFloat16::FromFloat.
//
// Included once per Highway target, hence the guard that toggles.
#if defined(REPRISE_ENGINE_OPS_ROUND_TO_BF16_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef REPRISE_ENGINE_OPS_ROUND_TO_BF16_INL_H_
#undef REPRISE_ENGINE_OPS_ROUND_TO_BF16_INL_H_
#else
#define REPRISE_ENGINE_OPS_ROUND_TO_BF16_INL_H_
#endif

#include "engine/tensor/dtype.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace reprise::engine::ops {
namespace HWY_NAMESPACE {

// Rounds Lanes(tag) numbers.
template <class Tag>
HWY_INLINE void StoreRounded(Tag /*tag*/, hwy::HWY_NAMESPACE::Vec<Tag> value, BFloat16* out) {
  namespace hn = hwy::HWY_NAMESPACE;
  const hn::RebindToUnsigned<Tag> tag_u32;
  const hn::RebindToSigned<Tag> tag_i32;
  const hn::Rebind<std::uint16_t, Tag> tag_u16;
  const auto bits = hn::BitCast(tag_u32, value);
  const auto upper = hn::ShiftRight<16>(bits);
  const auto tie = hn::And(upper, hn::Set(tag_u32, 1u));
  const auto rounded = hn::ShiftRight<16>(hn::Add(bits, hn::Add(tie, hn::Set(tag_u32, 0x7fffu))));
  const auto quiet_nan = hn::Or(upper, hn::Set(tag_u32, 0x40u));
  const auto is_nan = hn::RebindMask(tag_u32, hn::IsNaN(value));
  const auto result = hn::IfThenElse(is_nan, quiet_nan, rounded);
  hn::StoreU(hn::DemoteTo(tag_u16, hn::BitCast(tag_i32, result)), tag_u16,
             reinterpret_cast<std::uint16_t*>(out));
}

HWY_INLINE void RoundToBf16(const float* from, std::int64_t count, BFloat16* out) {
  namespace hn = hwy::HWY_NAMESPACE;
  const hn::ScalableTag<float> tag;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(tag));
  std::int64_t i = 0;
  for (; i + lanes <= count; i += lanes) StoreRounded(tag, hn::LoadU(tag, from + i), out + i);
  for (; i < count; ++i) out[i] = BFloat16::FromFloat(from[i]);
}

}  // namespace HWY_NAMESPACE
}  // namespace reprise::engine::ops
HWY_AFTER_NAMESPACE();

#endif
