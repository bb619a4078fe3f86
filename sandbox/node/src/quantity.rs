//! Kubernetes quantities (`200m`, `1.5Gi`, `1e3`) as thousandths.

/// The quantity in thousandths, rounded up; `None` when the text is no quantity.
pub fn milli(text: &str) -> Option<i128> {
    let end = text
        .find(|letter: char| !matches!(letter, '0'..='9' | '.' | '+' | '-'))
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.len() > 18 || fraction.len() > 9 {
        return None;
    }
    let negative = whole.starts_with('-');
    let digits = format!("{}{fraction}", whole.trim_start_matches(['+', '-']));
    let mantissa: i128 = digits.parse().ok()?;
    let (numerator, denominator) = factor(suffix)?;
    let scale = 10_i128.pow(u32::try_from(fraction.len()).ok()?) * denominator;
    let value = mantissa.checked_mul(numerator)?.checked_mul(1000)?;
    let value = (value + scale - 1).div_euclid(scale);
    Some(if negative { -value } else { value })
}

/// The factor of a suffix as a fraction.
fn factor(suffix: &str) -> Option<(i128, i128)> {
    let binary = |power: u32| Some((1_i128 << (10 * power), 1));
    let decimal = |power: u32| Some((1000_i128.pow(power), 1));
    match suffix {
        "" => Some((1, 1)),
        "n" => Some((1, 1_000_000_000)),
        "u" => Some((1, 1_000_000)),
        "m" => Some((1, 1000)),
        "k" => decimal(1),
        "M" => decimal(2),
        "G" => decimal(3),
        "T" => decimal(4),
        "P" => decimal(5),
        "E" => decimal(6),
        "Ki" => binary(1),
        "Mi" => binary(2),
        "Gi" => binary(3),
        "Ti" => binary(4),
        "Pi" => binary(5),
        "Ei" => binary(6),
        exponent => {
            let power: i32 = exponent.strip_prefix(['e', 'E'])?.parse().ok()?;
            let size = 10_i128.pow(power.unsigned_abs().min(18));
            Some(if power < 0 { (1, size) } else { (size, 1) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read() {
        let cases = [
            ("1", Some(1000)),
            ("200m", Some(200)),
            ("1.5", Some(1500)),
            ("2k", Some(2_000_000)),
            ("1Ki", Some(1_024_000)),
            ("1e3", Some(1_000_000)),
            ("0.5Mi", Some(524_288_000)),
            ("1n", Some(1)),
            ("", None),
            ("x", None),
            ("1Q", None),
            ("1.2.3", None),
        ];
        for (text, expected) in cases {
            assert_eq!(milli(text), expected, "{text}");
        }
    }
}
