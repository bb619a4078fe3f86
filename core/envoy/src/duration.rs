//! Texts of durations. Protobuf's own JSON knows seconds alone (`1.5s`); Istio reads patches as Go reads durations, so that all of Go's
//! units count (`500ms`, `1h30m`).

use prost_types::Duration;

const NANOS_PER_SECOND: i128 = 1_000_000_000;
/// Most seconds of a `google.protobuf.Duration`: 10,000 years.
const MAX_SECONDS: i128 = 315_576_000_000;
/// Digits that count; those that follow are less than a nanosecond of any unit.
const MAX_DIGITS: usize = 18;

/// The duration of a text: numbers with a unit each, perhaps with a sign before them all; none if it is no such text or too long.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(Duration::default());
    }
    if rest.is_empty() {
        return None;
    }
    let mut nanos = 0i128;
    while !rest.is_empty() {
        let (part, after) = segment(rest)?;
        nanos = nanos.checked_add(part)?;
        rest = after;
    }
    let seconds = nanos / NANOS_PER_SECOND;
    (seconds <= MAX_SECONDS).then_some(Duration {
        seconds: sign * i64::try_from(seconds).ok()?,
        nanos: sign as i32 * i32::try_from(nanos % NANOS_PER_SECOND).ok()?,
    })
}

/// The nanoseconds of the first number with its unit, and what follows.
fn segment(text: &str) -> Option<(i128, &str)> {
    let (whole, rest) = digits(text);
    let (part, rest) = rest.strip_prefix('.').map_or(("", rest), digits);
    let end = rest
        .find(|c: char| c == '.' || c.is_ascii_digit())
        .unwrap_or(rest.len());
    let (unit, rest) = rest.split_at_checked(end)?;
    let unit: i128 = match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => NANOS_PER_SECOND,
        "m" => 60 * NANOS_PER_SECOND,
        "h" => 3600 * NANOS_PER_SECOND,
        _ => return None,
    };
    if whole.is_empty() && part.is_empty() || whole.len() > MAX_DIGITS {
        return None;
    }
    let number = |digits: &str| match digits {
        "" => Some(0),
        digits => digits.parse::<i128>().ok(),
    };
    let part = part.get(..MAX_DIGITS).unwrap_or(part);
    let scale = 10i128.pow(u32::try_from(part.len()).ok()?);
    Some((number(whole)? * unit + number(part)? * unit / scale, rest))
}

fn digits(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for (text, seconds, nanos) in [
            ("0", 0, 0),
            ("1.5s", 1, 500_000_000),
            ("-1.5s", -1, -500_000_000),
            ("+2s", 2, 0),
            ("500ms", 0, 500_000_000),
            ("1h30m", 5400, 0),
            (".5s", 0, 500_000_000),
            ("1.s", 1, 0),
            ("0.5ms", 0, 500_000),
            ("3us", 0, 3_000),
            ("1.0000000009s", 1, 0),
            ("315576000000s", 315_576_000_000, 0),
        ] {
            assert_eq!(parse(text), Some(Duration { seconds, nanos }), "{text}");
        }
        for text in [
            "",
            "-",
            "s",
            "1",
            ".s",
            "1d",
            "1 s",
            "1s ",
            "ten",
            "1..2s",
            "--1s",
            "315576000001s",
            "9999999999999999999h",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
