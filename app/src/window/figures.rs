//! Numbers as people read them.

/// Seconds as "4 m 05 s".
pub fn duration(seconds: f64) -> String {
    let s = seconds.max(0.0).round() as u64;
    match s {
        0..60 => format!("{s} s"),
        60..3600 => format!("{} m {:02} s", s / 60, s % 60),
        _ => format!("{} h {:02} m", s / 3600, s % 3600 / 60),
    }
}

/// Seconds on a clock, "1:04:09".
pub fn clock(seconds: f64) -> String {
    let s = seconds.max(0.0) as u64;
    format!("{}:{:02}:{:02}", s / 3600, s % 3600 / 60, s % 60)
}

/// Bytes in the largest unit that keeps a digit before the point.
pub fn bytes(bytes: u64) -> String {
    let (mut value, mut unit) = (bytes as f64, "B");
    for next in ["KiB", "MiB", "GiB", "TiB"] {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    if unit == "B" || value >= 100.0 { format!("{value:.0} {unit}") } else { format!("{value:.1} {unit}") }
}

/// A value with about four significant digits; tiny and huge ones as powers of ten.
pub fn value(x: f64) -> String {
    let size = x.abs();
    if !x.is_finite() {
        return "not finite".into();
    }
    if size == 0.0 {
        return "0".into();
    }
    if !(1e-4..1e6).contains(&size) {
        return format!("{x:.2e}");
    }
    let digits = (3 - size.log10().floor() as i32).clamp(0, 7) as usize;
    let text = format!("{x:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_string() } else { text }
}

/// A count with thin spaces between thousands.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push('\u{a0}');
        }
        text.push(digit);
    }
    text
}

/// What a metric is called on screen.
pub fn metric(name: &str) -> String {
    let known = [
        ("reconstruction_loss", "L1"),
        ("perceptual_loss", "LPIPS"),
        ("kl_loss", "KL"),
        ("adversarial_loss", "adversarial"),
        ("vae_loss", "autoencoder total"),
        ("vae_align_loss", "alignment, autoencoder pass"),
        ("align_loss", "alignment, transformer pass"),
        ("discriminator_loss", "discriminator"),
        ("denoising_loss", "denoising"),
        ("sit_loss", "transformer total"),
        ("psnr_held_out", "held-out PSNR, dB"),
        ("grad_norm_vae", "autoencoder"),
        ("grad_norm_sit", "transformer"),
        ("grad_norm_discriminator", "discriminator, gradient"),
        ("update_ratio_vae", "autoencoder, update"),
        ("update_ratio_sit", "transformer, update"),
        ("update_ratio_discriminator", "discriminator, update"),
        ("latent_spatial_variance", "spatial variance"),
        ("latent_total_variation", "total variation"),
        ("latent_effective_rank", "effective rank"),
        ("memory_mib", "memory, MiB"),
        ("eval_psnr", "measured PSNR, dB"),
        ("eval_ssim", "measured SSIM"),
        ("eval_lpips", "measured LPIPS"),
        ("eval_spatial_variance", "measured spatial variance"),
        ("eval_total_variation", "measured total variation"),
        ("eval_effective_rank", "measured effective rank"),
    ];
    known.iter().find(|(key, _)| *key == name).map_or(name.replace('_', " "), |(_, words)| (*words).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(
            (duration(59.4), duration(245.0), duration(7500.0)),
            ("59 s".into(), "4 m 05 s".into(), "2 h 05 m".into())
        );
        assert_eq!(
            (bytes(512), bytes(1536), bytes(3 << 30)),
            ("512 B".into(), "1.5 KiB".into(), "3.0 GiB".into())
        );
        assert_eq!(
            (value(0.123456), value(12345.6), value(2e-5), value(1.5)),
            ("0.1235".into(), "12346".into(), "2.00e-5".into(), "1.5".into())
        );
        assert_eq!(count(1234567).replace('\u{a0}', " "), "1 234 567");
        assert_eq!(clock(3849.9), "1:04:09");
        assert_eq!(value(f64::NAN), "not finite");
    }
}
