//! Which requests are traced, as Envoy decides it: by the request id, which carries the decision on to other proxies of the mesh.

use mesh_ir::{Fraction, Tracing};

/// Where a request id has the decision: in place of the version of its UUID.
const PLACE: usize = 14;

/// Shares are compared in ten thousandths, as by Envoy.
const RANGE: u64 = 10_000;

/// Why a request is traced, as its id tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It is not.
    None,
    /// It was drawn.
    Sampled,
    /// `x-envoy-force-trace` asks for it.
    Forced,
    /// `x-client-trace-id` asks for it.
    Client,
}

/// What a request says for itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wishes<'a> {
    /// `x-request-id`.
    pub request_id: &'a [u8],
    /// Whether it has `x-client-trace-id`.
    pub client: bool,
    /// Whether it has `x-envoy-force-trace`, and may.
    pub force: bool,
}

/// Whether a request is traced, and what its id should say of that. `draw` is a random number.
pub fn decide(config: &Tracing, wishes: Wishes<'_>, draw: u64) -> (bool, Reason) {
    if !config.by_request_id {
        let traced = holds(config.random_sampling, draw) && holds(config.overall_sampling, draw);
        return (traced, Reason::None);
    }
    let Some(number) = number(wishes.request_id) else {
        return (false, Reason::None);
    };
    let mut reason = reason(wishes.request_id);
    if reason == Reason::None {
        if wishes.client && holds(config.client_sampling, draw) {
            reason = Reason::Client;
        } else if wishes.force {
            reason = Reason::Forced;
        } else if holds(config.random_sampling, number) {
            reason = Reason::Sampled;
        }
    }
    if !holds(config.overall_sampling, number) {
        reason = Reason::None;
    }
    (reason != Reason::None, reason)
}

/// Whether a number falls into a share.
fn holds(share: Fraction, number: u64) -> bool {
    let numerator = u64::from(share.numerator) * RANGE / share.per.value();
    number % RANGE < numerator
}

/// The number that a request is drawn by; none if the id is no UUID.
fn number(id: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(id.get(..8)?).ok()?;
    if id.len() != 36 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    u64::from_str_radix(digits, 16).ok()
}

fn reason(id: &[u8]) -> Reason {
    match id.get(PLACE) {
        Some(b'9') => Reason::Sampled,
        Some(b'a') => Reason::Forced,
        Some(b'b') => Reason::Client,
        _ => Reason::None,
    }
}

/// Lets a request id tell a reason, if it is a UUID. Whether it changes.
pub fn tell(id: &mut [u8], reason: Reason) -> bool {
    let letter = match reason {
        Reason::None => b'4',
        Reason::Sampled => b'9',
        Reason::Forced => b'a',
        Reason::Client => b'b',
    };
    let length = id.len();
    match id.get_mut(PLACE) {
        Some(place) if length == 36 && *place != letter => {
            *place = letter;
            true
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use mesh_ir::{Denominator, TraceProvider};

    use super::*;

    const FRESH: &[u8] = b"00000064-0000-4000-8000-000000000000";

    fn config(client: u32, random: u32, overall: u32) -> Tracing {
        let share = |percent: u32| Fraction {
            numerator: percent * 10_000,
            per: Denominator::Million,
        };
        Tracing {
            provider: TraceProvider::Zipkin {
                cluster: "zipkin".into(),
                path: "/api/v2/spans".into(),
                host: "zipkin".into(),
                long_ids: true,
                w3c: false,
            },
            client_sampling: share(client),
            random_sampling: share(random),
            overall_sampling: share(overall),
            by_request_id: true,
            propagates: true,
            max_path_length: 256,
            tags: BTreeMap::new(),
        }
    }

    #[track_caller]
    fn check(config: &Tracing, wishes: Wishes<'_>, reason: Reason) {
        let traced = reason != Reason::None;
        assert_eq!(decide(config, wishes, 0), (traced, reason));
    }

    #[test]
    fn the_id_is_drawn_by() {
        let fresh = Wishes {
            request_id: FRESH,
            ..Wishes::default()
        };
        // 0x64 is 1 % of ten thousand.
        check(&config(100, 1, 100), fresh, Reason::None);
        check(&config(100, 2, 100), fresh, Reason::Sampled);
        check(&config(100, 100, 1), fresh, Reason::None);
        check(&config(100, 100, 100), Wishes::default(), Reason::None);
        let other = Wishes {
            request_id: b"not-a-uuid",
            ..Wishes::default()
        };
        check(&config(100, 100, 100), other, Reason::None);
    }

    #[test]
    fn who_asks_is_traced() {
        let forced = Wishes {
            request_id: FRESH,
            client: false,
            force: true,
        };
        check(&config(100, 0, 100), forced, Reason::Forced);
        check(&config(100, 0, 0), forced, Reason::None);
        let client = Wishes {
            client: true,
            ..forced
        };
        check(&config(100, 0, 100), client, Reason::Client);
        check(&config(0, 0, 100), client, Reason::Forced);
    }

    #[test]
    fn what_was_decided_before_counts() {
        let mut id = FRESH.to_vec();
        assert!(tell(&mut id, Reason::Sampled));
        assert!(!tell(&mut id, Reason::Sampled));
        assert_eq!(id, b"00000064-0000-9000-8000-000000000000");
        let wishes = Wishes {
            request_id: &id,
            ..Wishes::default()
        };
        check(&config(0, 0, 100), wishes, Reason::Sampled);
    }

    #[test]
    fn a_draw_of_its_own_decides_where_the_id_does_not() {
        let config = Tracing {
            by_request_id: false,
            ..config(100, 50, 100)
        };
        assert_eq!(
            decide(&config, Wishes::default(), 4_999),
            (true, Reason::None)
        );
        assert_eq!(
            decide(&config, Wishes::default(), 5_000),
            (false, Reason::None)
        );
    }
}
