//! From when to when a certificate is valid, read from its DER (RFC 5280, section 4.1).

use std::time::{Duration, SystemTime};

/// Tags of ASN.1.
const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;

/// Both ends belong to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Validity {
    pub(super) not_before: SystemTime,
    pub(super) not_after: SystemTime,
}

// === impl Validity ===

impl Validity {
    /// The one of a certificate, if it can be read.
    pub(super) fn of(certificate: &[u8]) -> Option<Self> {
        let (certificate, _) = element(certificate, SEQUENCE)?;
        let (mut rest, _) = element(certificate, SEQUENCE)?;
        if let Some((_, after)) = element(rest, VERSION) {
            rest = after;
        }
        // Serial number, algorithm, issuer.
        for tag in [INTEGER, SEQUENCE, SEQUENCE] {
            (_, rest) = element(rest, tag)?;
        }
        let (validity, _) = element(rest, SEQUENCE)?;
        let (not_before, rest) = time(validity)?;
        let (not_after, _) = time(rest)?;
        Some(Self {
            not_before,
            not_after,
        })
    }

    /// Whether it holds at a time.
    pub(super) fn holds(&self, now: SystemTime) -> bool {
        (self.not_before..=self.not_after).contains(&now)
    }

    /// How long to wait before a new certificate is asked for: until half of the life, up to a tenth of it earlier. `ticket` is random.
    pub(super) fn until_renewal(&self, now: SystemTime, ticket: u32) -> Duration {
        let life = self.not_after.duration_since(self.not_before);
        let life = life.unwrap_or_default();
        let early = 0.01 + 0.09 * f64::from(ticket) / f64::from(u32::MAX);
        let due = self.not_before + life.mul_f64(0.5 - early);
        due.duration_since(now).unwrap_or_default()
    }
}

/// The contents of an element that has this tag, and what comes after it.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        short @ 0..=0x7f => (usize::from(*short), rest),
        // Nothing here is longer than four bytes can say.
        long @ 0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(long & 0x7f))?;
            let length = digits
                .iter()
                .fold(0, |sum, digit| sum << 8 | usize::from(*digit));
            (length, rest)
        }
        _ => return None,
    };
    (*found == tag).then(|| rest.split_at_checked(length))?
}

/// A time, and what comes after it.
fn time(bytes: &[u8]) -> Option<(SystemTime, &[u8])> {
    let (century, text, rest) = match element(bytes, UTC_TIME) {
        Some((text, rest)) => (None, text, rest),
        None => {
            let (text, rest) = element(bytes, GENERALIZED_TIME)?;
            let (century, text) = text.split_at_checked(2)?;
            (Some(number(century)?), text, rest)
        }
    };
    let [year, month, day, hour, minute, second] = fields(text)?;
    let century = century.unwrap_or(if year < 50 { 20 } else { 19 });
    let days = days(century * 100 + year, month, day)?;
    let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second;
    let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))?;
    Some((time, rest))
}

/// `YYMMDDhhmmssZ`.
fn fields(text: &[u8]) -> Option<[u64; 6]> {
    let digits = text
        .strip_suffix(b"Z")
        .filter(|digits| digits.len() == 12)?;
    let mut fields = [0; 6];
    for (field, digits) in fields.iter_mut().zip(digits.chunks(2)) {
        *field = number(digits)?;
    }
    Some(fields)
}

fn number(digits: &[u8]) -> Option<u64> {
    let digit = |sum: u64, digit: &u8| {
        digit
            .is_ascii_digit()
            .then(|| sum * 10 + u64::from(digit - b'0'))
    };
    digits.iter().try_fold(0, digit)
}

/// Days since 1970 of a date in the Gregorian calendar.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    if year < 1970 || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Counted from March, the leap day is the last day of a year.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let leap_days = year / 4 - year / 100 + year / 400;
    Some(year * 365 + leap_days + (153 * month + 2) / 5 + day - 1 - 719_468)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, KeyPair};

    use super::*;
    use crate::calendar::civil;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    proptest! {
        #[test]
        fn dates_are_those_of_the_calendar(day in 0u64..3_000_000) {
            let (year, month, date) = civil(day);
            prop_assert_eq!(days(year, month, date), Some(day));
        }

        #[test]
        fn anything_is_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Validity::of(&bytes);
            let _ = time(&bytes);
        }
    }

    #[test]
    fn the_validity_is_what_was_written() {
        let key = KeyPair::generate().unwrap();
        // Before 2050 years have two digits in a certificate, from then on four.
        for (from, to) in [
            (0, 1_700_000_000),
            (1_795_845_600, 1_795_932_000),
            (1_700_000_001, 3_000_000_000),
        ] {
            let mut params = CertificateParams::new(vec!["a".to_owned()]).unwrap();
            params.not_before = at(from).into();
            params.not_after = at(to).into();
            let certificate = params.self_signed(&key).unwrap();
            let validity = Validity {
                not_before: at(from),
                not_after: at(to),
            };
            assert_eq!(Validity::of(certificate.der()), Some(validity));
            for length in 0..certificate.der().len() {
                let cut = &certificate.der()[..length];
                assert_eq!(Validity::of(cut), None);
            }
        }
    }

    #[test]
    fn renewal_is_due_before_half_of_the_life() {
        let validity = Validity {
            not_before: at(1_000),
            not_after: at(2_000),
        };
        let due = |now, ticket| validity.until_renewal(at(now), ticket).as_secs();
        assert_eq!([due(1_000, 0), due(1_000, u32::MAX)], [490, 400]);
        assert_eq!([due(1_400, 0), due(1_600, 0)], [90, 0]);
    }
}
