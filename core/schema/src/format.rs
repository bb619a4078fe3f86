//! Formats of texts and numbers, as far as API servers check them. Other formats mean nothing to them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// A format: its name, and whether a value has it.
#[derive(Clone, Copy)]
pub(super) struct Format {
    pub(super) name: &'static str,
    pub(super) has: fn(&Value) -> bool,
}

/// A format of texts; values of other types have it.
macro_rules! text {
    ($name:literal, $has:expr) => {
        Format {
            name: $name,
            has: |value| {
                let has: fn(&str) -> bool = $has;
                value.as_str().is_none_or(has)
            },
        }
    };
}

/// All formats that are checked.
const FORMATS: &[Format] = &[
    text!("byte", |text| STANDARD.decode(text).is_ok()),
    text!("cidr", is_network),
    text!("date", |text| text.parse::<jiff::civil::Date>().is_ok()),
    text!("date-time", is_date_time),
    text!("datetime", is_date_time),
    text!("duration", is_duration),
    text!("email", is_email),
    text!("hostname", is_hostname),
    text!("ipv4", |text| text.parse::<Ipv4Addr>().is_ok()),
    text!("ipv6", |text| text.parse::<Ipv6Addr>().is_ok()),
    text!("mac", is_mac),
    text!("uri", is_uri),
    text!("uuid", is_uuid),
    text!("k8s-short-name", |text| text.len() <= 63 && is_label(text)),
    text!("k8s-long-name", |text| text.len() <= 253
        && text.split('.').all(is_label)),
    Format {
        name: "int32",
        has: |value| whole(value).is_none_or(|number| i32::try_from(number).is_ok()),
    },
    Format {
        name: "int64",
        has: |value| whole(value).is_none_or(|number| i64::try_from(number).is_ok()),
    },
];

impl Format {
    /// The format of this name; none for names that API servers ignore.
    pub(super) fn named(name: &str) -> Option<Self> {
        FORMATS.iter().find(|format| format.name == name).copied()
    }
}

impl std::fmt::Debug for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

fn whole(value: &Value) -> Option<i128> {
    let number = value.as_number()?;
    let exact = number.as_i64().map(i128::from);
    exact
        .or_else(|| number.as_u64().map(i128::from))
        .or_else(|| {
            let number = number.as_f64()?;
            // Whole numbers beyond 64 bits are read as floating point; the cast saturates.
            #[expect(
                clippy::cast_possible_truncation,
                reason = "saturates beyond the range of every format"
            )]
            (number.fract() == 0.0).then_some(number as i128)
        })
}

fn is_network(text: &str) -> bool {
    let Some((address, length)) = text.split_once('/') else {
        return false;
    };
    let plain = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
    let Ok(length) = length.parse::<u8>() else {
        return false;
    };
    plain
        && match address.parse() {
            Ok(IpAddr::V4(_)) => length <= 32,
            Ok(IpAddr::V6(_)) => length <= 128,
            Err(_) => false,
        }
}

fn is_date_time(text: &str) -> bool {
    text.parse::<jiff::Timestamp>().is_ok()
}

/// Go's durations: `1h30m`, `-1.5s`, `0`.
fn is_duration(text: &str) -> bool {
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    if rest == "0" {
        return true;
    }
    if rest.is_empty() {
        return false;
    }
    while !rest.is_empty() {
        let is_number = |letter: char| letter.is_ascii_digit() || letter == '.';
        let end = rest.find(|letter| !is_number(letter)).unwrap_or(rest.len());
        let (number, unit) = rest.split_at(end);
        if number.parse::<f64>().is_err() {
            return false;
        }
        let end = unit.find(is_number).unwrap_or(unit.len());
        let (unit, after) = unit.split_at(end);
        if !["ns", "us", "µs", "μs", "ms", "s", "m", "h"].contains(&unit) {
            return false;
        }
        rest = after;
    }
    true
}

fn is_email(text: &str) -> bool {
    let no_space = !text.contains(|letter: char| letter.is_whitespace() || letter.is_control());
    no_space
        && text
            .rsplit_once('@')
            .is_some_and(|(local, domain)| !local.is_empty() && is_hostname(domain))
}

/// A DNS name, with labels of either case and underscores.
fn is_hostname(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .chars()
                .all(|letter| letter.is_alphanumeric() || letter == '-' || letter == '_')
    };
    let text = text.strip_suffix('.').unwrap_or(text);
    text.len() <= 255 && text.split('.').all(label)
}

fn is_mac(text: &str) -> bool {
    [':', '-'].into_iter().any(|separator| {
        let parts: Vec<&str> = text.split(separator).collect();
        let hex = |part: &&str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit());
        [6, 8].contains(&parts.len()) && parts.iter().all(hex)
    })
}

/// An absolute URI, or an absolute path, as Go's `ParseRequestURI` takes.
fn is_uri(text: &str) -> bool {
    let printable = |byte: u8| byte.is_ascii_graphic() || byte >= 0x80;
    if text.is_empty() || !text.bytes().all(printable) {
        return false;
    }
    if text.starts_with('/') {
        return true;
    }
    text.split_once(':').is_some_and(|(scheme, rest)| {
        let mut letters = scheme.bytes();
        letters
            .next()
            .is_some_and(|first| first.is_ascii_alphabetic())
            && letters.all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
            && !rest.is_empty()
    })
}

fn is_uuid(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_hexdigit).count();
    let dashes: Vec<usize> = text.match_indices('-').map(|(at, _)| at).collect();
    digits == 32
        && digits + dashes.len() == text.len()
        && (dashes.is_empty() || dashes == [8, 13, 18, 23])
}

fn is_label(text: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (1..=63).contains(&text.len())
        && text.bytes().all(|byte| letter(byte) || byte == b'-')
        && text.bytes().next().is_some_and(letter)
        && text.bytes().next_back().is_some_and(letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_tell_good_from_bad() {
        #[rustfmt::skip]
        let cases: &[(&str, &[&str], &[&str])] = &[
            ("byte", &["YWJj", ""], &["YWJ", "*"]),
            ("cidr", &["10.0.0.0/8", "::/0"], &["10.0.0.0", "10.0.0.0/33", "::/129", "10.0.0.0/+8"]),
            ("date-time", &["2024-01-01T00:00:00Z"], &["2024-01-01", "x"]),
            ("duration", &["1h30m", "-1.5s", "0", "10ms"], &["", "1", "s", "1x", "1h x"]),
            ("hostname", &["a.b", "A-1.example"], &["-a", "a..b", "a b", ""]),
            ("ipv4", &["1.2.3.4"], &["1.2.3", "::1", "1.2.3.256"]),
            ("ipv6", &["::1"], &["1.2.3.4", "g::"]),
            ("uri", &["http://a/b", "/a"], &["a b", "", "a"]),
            ("uuid", &["01234567-89ab-cdef-0123-456789abcdef"], &["0123", "0123-4567"]),
            ("mac", &["00:11:22:33:44:55"], &["00:11", "00:11:22:33:44:5g"]),
            ("email", &["a@b.c"], &["a", "@b", "a b@c"]),
        ];
        for (name, good, bad) in cases {
            let format = Format::named(name).unwrap();
            for text in *good {
                assert!((format.has)(&Value::from(*text)), "{name} {text:?}");
            }
            for text in *bad {
                assert!(!(format.has)(&Value::from(*text)), "{name} {text:?}");
            }
        }
    }

    #[test]
    fn numbers_have_their_range() {
        let int32 = Format::named("int32").unwrap();
        assert!((int32.has)(&Value::from(i32::MAX)));
        assert!(!(int32.has)(&Value::from(i64::from(i32::MAX) + 1)));
        assert!(!(int32.has)(&Value::from(1e300)));
        assert!(Format::named("password").is_none());
    }
}
