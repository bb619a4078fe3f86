//! Ids of requests.

/// Writes a UUID (RFC 9562, version 4) made of random bits.
pub(super) fn write(out: &mut Vec<u8>, random: [u64; 2]) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let [high, low] = random;
    let bits = u128::from(high & !0xf000 | 0x4000) << 64 | u128::from(low >> 2 | 1 << 63);
    let mut text = [b'-'; 36];
    let mut shift = 128;
    for (index, place) in text.iter_mut().enumerate() {
        if !matches!(index, 8 | 13 | 18 | 23) {
            shift -= 4;
            let digit = (bits >> shift) as usize & 15;
            *place = HEX.get(digit).copied().unwrap_or(b'0');
        }
    }
    out.extend_from_slice(&text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_and_variant_are_fixed() {
        let text = |random| {
            let mut out = Vec::new();
            write(&mut out, random);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(text([0, 0]), "00000000-0000-4000-8000-000000000000");
        assert_eq!(text([u64::MAX; 2]), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }
}
