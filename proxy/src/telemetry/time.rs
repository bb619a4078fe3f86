//! Moments in UTC by a pattern of `strftime`, compiled once: for `%START_TIME(...)%` of access logs, and for dumps.

use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::calendar::civil;

/// A compiled pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TimeFormat(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Year,
    Month,
    Day,
    Hour,
    Minute,
    Second,
    /// So many digits of the second's fraction.
    Fraction(usize),
    /// Seconds since 1970.
    Epoch,
}

/// Pattern where none is given: `2026-01-02T03:04:05.678Z`.
pub(crate) const DEFAULT: &str = "%Y-%m-%dT%H:%M:%E3SZ";

/// A moment as RFC 3339 writes it.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    let mut out = vec![];
    if let Ok(format) = TimeFormat::compile(DEFAULT) {
        format.write(&mut out, time);
    }
    String::from_utf8(out).unwrap_or_default()
}

// === impl TimeFormat ===

impl TimeFormat {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// With the specifier that is unknown.
    pub(crate) fn compile(pattern: &str) -> Result<Self, String> {
        let mut parts = vec![];
        let mut rest = pattern;
        while let Some((text, tail)) = rest.split_once('%') {
            push_text(&mut parts, text);
            rest = specifier(&mut parts, tail).ok_or_else(|| {
                format!("the time format {pattern:?} has an unknown specifier at %{tail}")
            })?;
        }
        push_text(&mut parts, rest);
        Ok(Self(parts))
    }

    /// Writes a moment.
    pub(crate) fn write(&self, out: &mut Vec<u8>, time: SystemTime) {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let (seconds, nanos) = (since.as_secs(), since.subsec_nanos());
        let (days, of_day) = (seconds / 86_400, seconds % 86_400);
        let (year, month, day) = civil(days);
        for part in &self.0 {
            // Writing to a vector does not fail.
            let _ = match part {
                Part::Text(text) => out.write_all(text.as_bytes()),
                Part::Year => write!(out, "{year:04}"),
                Part::Month => write!(out, "{month:02}"),
                Part::Day => write!(out, "{day:02}"),
                Part::Hour => write!(out, "{:02}", of_day / 3600),
                Part::Minute => write!(out, "{:02}", of_day / 60 % 60),
                Part::Second => write!(out, "{:02}", of_day % 60),
                Part::Fraction(digits) => {
                    let text = format!("{nanos:09}");
                    out.write_all(text.get(..*digits).unwrap_or(&text).as_bytes())
                }
                Part::Epoch => write!(out, "{seconds}"),
            };
        }
    }
}

fn push_text(parts: &mut Vec<Part>, text: &str) {
    if !text.is_empty() {
        parts.push(Part::Text(text.to_owned()));
    }
}

/// Takes one specifier without its percent sign; gives what is left.
fn specifier<'a>(parts: &mut Vec<Part>, tail: &'a str) -> Option<&'a str> {
    // `%E3S` is the second with three digits, `%3f` the three digits alone, `%f` nine of them.
    if let Some(rest) = tail.strip_prefix('E') {
        let (digits, rest) = digit(rest)?;
        parts.extend([
            Part::Second,
            Part::Text(".".to_owned()),
            Part::Fraction(digits),
        ]);
        return rest.strip_prefix('S');
    }
    if let Some((digits, rest)) = digit(tail) {
        parts.push(Part::Fraction(digits));
        return rest.strip_prefix('f');
    }
    let mut chars = tail.chars();
    let colon = || Part::Text(":".to_owned());
    let dash = || Part::Text("-".to_owned());
    match chars.next()? {
        'Y' => parts.push(Part::Year),
        'm' => parts.push(Part::Month),
        'd' => parts.push(Part::Day),
        'H' => parts.push(Part::Hour),
        'M' => parts.push(Part::Minute),
        'S' => parts.push(Part::Second),
        'f' => parts.push(Part::Fraction(9)),
        's' => parts.push(Part::Epoch),
        'F' => parts.extend([Part::Year, dash(), Part::Month, dash(), Part::Day]),
        'T' => parts.extend([Part::Hour, colon(), Part::Minute, colon(), Part::Second]),
        'z' => push_text(parts, "+0000"),
        'Z' => push_text(parts, "UTC"),
        '%' => push_text(parts, "%"),
        _ => return None,
    }
    Some(chars.as_str())
}

/// One digit from 1 to 9.
fn digit(text: &str) -> Option<(usize, &str)> {
    let mut chars = text.chars();
    let digit = chars.next()?.to_digit(10).filter(|digit| *digit > 0)?;
    Some((usize::try_from(digit).ok()?, chars.as_str()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[track_caller]
    fn check(pattern: &str, millis: u64, expected: &str) {
        let mut out = vec![];
        let time = UNIX_EPOCH + Duration::from_millis(millis);
        TimeFormat::compile(pattern).unwrap().write(&mut out, time);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn moments_are_written() {
        check(DEFAULT, 0, "1970-01-01T00:00:00.000Z");
        check(DEFAULT, 951_782_400_123, "2000-02-29T00:00:00.123Z");
        check(DEFAULT, 1_709_251_199_999, "2024-02-29T23:59:59.999Z");
        check(DEFAULT, 4_107_542_400_000, "2100-03-01T00:00:00.000Z");
        check("%s.%3f", 1_700_000_000_042, "1700000000.042");
        check(
            "[%F %T%z] 100%%",
            86_399_000,
            "[1970-01-01 23:59:59+0000] 100%",
        );
    }

    #[test]
    fn unknown_specifiers_are_refused() {
        for pattern in ["%Q", "%", "%E3", "%E", "%0f", "a%éb"] {
            assert!(TimeFormat::compile(pattern).is_err(), "{pattern}");
        }
    }
}
