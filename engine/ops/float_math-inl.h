// Elementwise functions of fp32 vectors, a few units in the last place from exact.
//
// Included once per Highway target, hence the guard that toggles.
#if defined(REPRISE_ENGINE_OPS_FLOAT_MATH_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef REPRISE_ENGINE_OPS_FLOAT_MATH_INL_H_
#undef REPRISE_ENGINE_OPS_FLOAT_MATH_INL_H_
#else
#define REPRISE_ENGINE_OPS_FLOAT_MATH_INL_H_
#endif

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace reprise::engine::ops {
namespace HWY_NAMESPACE {

// 2^x for x <= 126: a polynomial of degree 5 on [-1/2, 1/2] (relative error 1.2e-7, two units in
// the last place), then the exponent. Below 2^-126 it stays there, which no sum of ours can see.
template <typename Vector>
HWY_INLINE Vector Exp2(Vector x) {
  namespace hn = hwy::HWY_NAMESPACE;
  const hn::DFromV<Vector> tag;
  const hn::RebindToSigned<hn::DFromV<Vector>> int_tag;
  const Vector bounded = hn::Max(x, hn::Set(tag, -126.0f));
  const Vector whole = hn::Round(bounded);
  const Vector f = hn::Sub(bounded, whole);
  Vector p = hn::Set(tag, 1.3276472e-3f);
  p = hn::MulAdd(p, f, hn::Set(tag, 9.6755413e-3f));
  p = hn::MulAdd(p, f, hn::Set(tag, 5.5507133e-2f));
  p = hn::MulAdd(p, f, hn::Set(tag, 2.4022120e-1f));
  p = hn::MulAdd(p, f, hn::Set(tag, 6.9314697e-1f));
  p = hn::MulAdd(p, f, hn::Set(tag, 1.0f));
  const auto exponent = hn::Add(hn::ConvertTo(int_tag, whole), hn::Set(int_tag, 127));
  return hn::Mul(p, hn::BitCast(tag, hn::ShiftLeft<23>(exponent)));
}

// Abramowitz and Stegun 7.1.26, absolute error 1.5e-7.
template <typename Vector>
HWY_INLINE Vector Erf(Vector x) {
  namespace hn = hwy::HWY_NAMESPACE;
  const hn::DFromV<Vector> tag;
  const Vector a = hn::Abs(x);
  const Vector t =
      hn::Div(hn::Set(tag, 1.0f), hn::MulAdd(a, hn::Set(tag, 0.3275911f), hn::Set(tag, 1.0f)));
  Vector p = hn::Set(tag, 1.061405429f);
  p = hn::MulAdd(p, t, hn::Set(tag, -1.453152027f));
  p = hn::MulAdd(p, t, hn::Set(tag, 1.421413741f));
  p = hn::MulAdd(p, t, hn::Set(tag, -0.284496736f));
  p = hn::MulAdd(p, t, hn::Set(tag, 0.254829592f));
  const Vector tail =
      hn::Mul(hn::Mul(p, t), Exp2(hn::Mul(hn::Mul(a, a), hn::Set(tag, -1.44269504f))));
  return hn::CopySign(hn::Sub(hn::Set(tag, 1.0f), tail), x);
}

}  // namespace HWY_NAMESPACE
}  // namespace reprise::engine::ops
HWY_AFTER_NAMESPACE();

#endif
