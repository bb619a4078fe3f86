//! Which failures are injected into a request.

use std::time::Duration;

use super::Draw;
use crate::Fraction;
use crate::matching::RequestView;
use crate::policy::{AbortStatus, DelayDuration, Fault, FaultAbort, FaultDelay};

/// The failures of one request: it waits first, then it is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InjectedFault {
    /// How long it waits. Response flag DI.
    pub delay: Option<Duration>,
    /// What it is answered with. Response flag FI.
    pub abort: Option<InjectedAbort>,
}

/// What a request is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InjectedAbort {
    /// An HTTP status.
    Http(u16),
    /// A gRPC status, with HTTP 200.
    Grpc(u32),
}

/// Decides by chance, and by the request's headers where the fault leaves it to them. One number is drawn for each part that may happen.
pub(super) fn inject(
    fault: &Fault,
    request: &impl RequestView,
    draw: &mut impl Draw,
) -> InjectedFault {
    InjectedFault {
        delay: fault.delay.as_ref().and_then(|it| delay(it, request, draw)),
        abort: fault.abort.as_ref().and_then(|it| abort(it, request, draw)),
    }
}

fn delay(delay: &FaultDelay, request: &impl RequestView, draw: &mut impl Draw) -> Option<Duration> {
    let (duration, share) = match delay.duration {
        DelayDuration::Fixed(duration) => (duration, delay.percentage),
        DelayDuration::Header => {
            let millis = number(request, "x-envoy-fault-delay-request")?;
            let share = limited(
                delay.percentage,
                request,
                "x-envoy-fault-delay-request-percentage",
            );
            (Duration::from_millis(millis), share)
        }
    };
    (!duration.is_zero() && share.holds(draw.draw())).then_some(duration)
}

fn abort(
    abort: &FaultAbort,
    request: &impl RequestView,
    draw: &mut impl Draw,
) -> Option<InjectedAbort> {
    let (status, share) = match abort.status {
        AbortStatus::Http(code) => (InjectedAbort::Http(code), abort.percentage),
        AbortStatus::Grpc(status) => (InjectedAbort::Grpc(status), abort.percentage),
        AbortStatus::Header => {
            let share = limited(
                abort.percentage,
                request,
                "x-envoy-fault-abort-request-percentage",
            );
            (requested(request)?, share)
        }
    };
    share.holds(draw.draw()).then_some(status)
}

fn requested(request: &impl RequestView) -> Option<InjectedAbort> {
    let http = number(request, "x-envoy-fault-abort-request")
        .and_then(|code| u16::try_from(code).ok())
        .filter(|code| (200..600).contains(code))
        .map(InjectedAbort::Http);
    http.or_else(|| {
        let status = number(request, "x-envoy-fault-abort-grpc-request")?;
        u32::try_from(status).ok().map(InjectedAbort::Grpc)
    })
}

/// The share that a header asks for, in the configured unit and up to the configured share.
fn limited(most: Fraction, request: &impl RequestView, header: &str) -> Fraction {
    let asked = number(request, header).and_then(|asked| u32::try_from(asked).ok());
    Fraction {
        numerator: asked.map_or(most.numerator, |asked| asked.min(most.numerator)),
        per: most.per,
    }
}

fn number(request: &impl RequestView, header: &str) -> Option<u64> {
    let value = request.header(header)?;
    if !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(&value).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Denominator;
    use crate::matching::PlainRequest;

    fn percent(numerator: u32) -> Fraction {
        Fraction {
            numerator,
            per: Denominator::Hundred,
        }
    }

    fn request(headers: &[(&str, &str)]) -> PlainRequest {
        let start = PlainRequest::get("a", "/");
        headers.iter().fold(start, |request, (name, value)| {
            request.with_header(name, value)
        })
    }

    #[track_caller]
    fn check(fault: &Fault, headers: &[(&str, &str)], draw: u64, expect: InjectedFault) {
        assert_eq!(inject(fault, &request(headers), &mut || draw), expect);
    }

    fn aborts(status: AbortStatus, percentage: Fraction) -> Fault {
        Fault {
            abort: Some(FaultAbort { status, percentage }),
            ..Fault::default()
        }
    }

    fn aborted(code: u16) -> InjectedFault {
        InjectedFault {
            abort: Some(InjectedAbort::Http(code)),
            ..InjectedFault::default()
        }
    }

    #[test]
    fn a_share_of_requests_is_aborted() {
        let fault = aborts(AbortStatus::Http(503), percent(30));
        check(&fault, &[], 29, aborted(503));
        check(&fault, &[], 30, InjectedFault::default());
        check(&fault, &[], 129, aborted(503));
    }

    #[test]
    fn headers_control_aborts_up_to_the_configured_share() {
        let fault = aborts(AbortStatus::Header, percent(50));
        let code = ("x-envoy-fault-abort-request", "418");
        let share = "x-envoy-fault-abort-request-percentage";
        check(&fault, &[], 0, InjectedFault::default());
        check(&fault, &[code], 49, aborted(418));
        check(&fault, &[code, (share, "10")], 10, InjectedFault::default());
        check(
            &fault,
            &[code, (share, "100")],
            50,
            InjectedFault::default(),
        );
        check(
            &fault,
            &[("x-envoy-fault-abort-request", "99")],
            0,
            InjectedFault::default(),
        );
        let grpc = InjectedFault {
            abort: Some(InjectedAbort::Grpc(14)),
            ..InjectedFault::default()
        };
        check(
            &fault,
            &[("x-envoy-fault-abort-grpc-request", "14")],
            0,
            grpc,
        );
    }

    #[test]
    fn delays_are_fixed_or_asked_for() {
        let delayed = |millis| InjectedFault {
            delay: Some(Duration::from_millis(millis)),
            ..InjectedFault::default()
        };
        let of = |duration| Fault {
            delay: Some(FaultDelay {
                duration,
                percentage: percent(100),
            }),
            ..Fault::default()
        };
        check(
            &of(DelayDuration::Fixed(Duration::from_secs(7))),
            &[],
            99,
            delayed(7000),
        );
        let header = of(DelayDuration::Header);
        check(
            &header,
            &[("x-envoy-fault-delay-request", "250")],
            99,
            delayed(250),
        );
        check(
            &header,
            &[("x-envoy-fault-delay-request", "-1")],
            0,
            InjectedFault::default(),
        );
        check(&header, &[], 0, InjectedFault::default());
    }
}
