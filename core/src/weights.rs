//! Network weights that come with the program: the teacher and the perceptual network, as f16.

use std::path::Path;

use crate::error::Result;
use crate::files::TensorFile;

/// EfficientNet-Lite0 with its classifier.
///
/// # Errors
/// Never in a program that was built from a whole source tree.
pub fn efficientnet_lite0() -> Result<TensorFile> {
    let bytes = include_bytes!("../../assets/weights/efficientnet_lite0.f16.safetensors");
    TensorFile::from_static(bytes, Path::new("(embedded) efficientnet_lite0.f16.safetensors"))
}

/// LPIPS-AlexNet, version 0.1 heads.
///
/// # Errors
/// Never in a program that was built from a whole source tree.
pub fn lpips_alex() -> Result<TensorFile> {
    let bytes = include_bytes!("../../assets/weights/lpips_alex.f16.safetensors");
    TensorFile::from_static(bytes, Path::new("(embedded) lpips_alex.f16.safetensors"))
}

/// The small classifier that judges pictures, with its accuracy in the metadata.
///
/// # Errors
/// Never in a program that was built from a whole source tree.
pub fn judge() -> Result<TensorFile> {
    let bytes = include_bytes!("../../assets/judge/judge.f16.safetensors");
    TensorFile::from_static(bytes, Path::new("(embedded) judge.f16.safetensors"))
}

/// Names and sizes in bytes of what is embedded.
pub fn embedded() -> [(&'static str, usize); 3] {
    [
        (
            "efficientnet_lite0.f16",
            include_bytes!("../../assets/weights/efficientnet_lite0.f16.safetensors").len(),
        ),
        ("lpips_alex.f16", include_bytes!("../../assets/weights/lpips_alex.f16.safetensors").len()),
        ("judge.f16", include_bytes!("../../assets/judge/judge.f16.safetensors").len()),
    ]
}
