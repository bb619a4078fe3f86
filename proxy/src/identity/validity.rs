//! From when to when a certificate is valid.

use std::time::{Duration, SystemTime};

use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;
use x509_parser::time::ASN1Time;

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
        let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
        let validity = certificate.validity();
        let (not_before, not_after) = (time(validity.not_before)?, time(validity.not_after)?);
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

/// None before 1970.
fn time(time: ASN1Time) -> Option<SystemTime> {
    let seconds = u64::try_from(time.timestamp()).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    proptest! {
        #[test]
        fn anything_is_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Validity::of(&bytes);
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
