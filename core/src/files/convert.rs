//! Stored values to f32 and back.

use std::borrow::Cow;

use half::{bf16, f16};

use super::Dtype;

/// Little-endian values of a numeric dtype as f32; `None` for dtypes that are not plain numbers
/// (eight-bit floats, complex).
pub fn f32_from_bytes(dtype: Dtype, data: &[u8]) -> Option<Vec<f32>> {
    fn each<const N: usize>(data: &[u8], convert: impl Fn([u8; N]) -> f32) -> Vec<f32> {
        data.as_chunks::<N>().0.iter().map(|&bytes| convert(bytes)).collect()
    }
    Some(match dtype {
        Dtype::F32 => bytemuck::pod_collect_to_vec(&data[..data.len() / 4 * 4]),
        Dtype::F64 => each(data, |b| f64::from_le_bytes(b) as f32),
        Dtype::F16 => each(data, |b| f16::from_le_bytes(b).to_f32()),
        Dtype::BF16 => each(data, |b| bf16::from_le_bytes(b).to_f32()),
        Dtype::I64 => each(data, |b| i64::from_le_bytes(b) as f32),
        Dtype::U64 => each(data, |b| u64::from_le_bytes(b) as f32),
        Dtype::I32 => each(data, |b| i32::from_le_bytes(b) as f32),
        Dtype::U32 => each(data, |b| u32::from_le_bytes(b) as f32),
        Dtype::I16 => each(data, |b| f32::from(i16::from_le_bytes(b))),
        Dtype::U16 => each(data, |b| f32::from(u16::from_le_bytes(b))),
        Dtype::I8 => each(data, |b: [u8; 1]| f32::from(b[0] as i8)),
        Dtype::U8 | Dtype::BOOL => data.iter().map(|&b| f32::from(b)).collect(),
        _ => return None,
    })
}

/// f32 values as the little-endian bytes of `dtype`, rounded to nearest; `None` for dtypes that are
/// not written here.
pub fn bytes_from_f32(dtype: Dtype, values: &[f32]) -> Option<Cow<'_, [u8]>> {
    Some(match dtype {
        Dtype::F32 => Cow::Borrowed(bytemuck::cast_slice(values)),
        Dtype::F64 => values.iter().flat_map(|&v| f64::from(v).to_le_bytes()).collect(),
        Dtype::F16 => values.iter().flat_map(|&v| f16::from_f32(v).to_le_bytes()).collect(),
        Dtype::BF16 => values.iter().flat_map(|&v| bf16::from_f32(v).to_le_bytes()).collect(),
        Dtype::I64 => values.iter().flat_map(|&v| (v as i64).to_le_bytes()).collect(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_values_survive_the_way_through_f32() {
        for dtype in [Dtype::F32, Dtype::F64, Dtype::F16, Dtype::BF16, Dtype::I64] {
            let values = [0.0, 1.5, -2.0, 96.0];
            let bytes = bytes_from_f32(dtype, &values).unwrap().into_owned();
            let back = f32_from_bytes(dtype, &bytes).unwrap();
            let expected = if dtype == Dtype::I64 { vec![0.0, 1.0, -2.0, 96.0] } else { values.to_vec() };
            assert_eq!(back, expected, "{dtype:?}");
            assert_ne!(back, [0.0; 4], "{dtype:?}");
        }
        // Every half and bfloat16 that is a number comes back bit for bit.
        for dtype in [Dtype::F16, Dtype::BF16] {
            let all: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
            let floats = f32_from_bytes(dtype, &all).unwrap();
            let back = bytes_from_f32(dtype, &floats).unwrap();
            for (i, value) in floats.iter().enumerate().filter(|(_, v)| !v.is_nan()) {
                assert_eq!(back[2 * i..2 * i + 2], all[2 * i..2 * i + 2], "{dtype:?} {value}");
            }
        }
    }

    #[test]
    fn dtypes_that_are_no_numbers_are_refused() {
        assert!(f32_from_bytes(Dtype::C64, &[0; 8]).is_none());
        assert!(bytes_from_f32(Dtype::F8_E5M2, &[0.0]).is_none());
    }
}
