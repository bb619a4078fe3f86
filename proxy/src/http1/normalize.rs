//! Paths in the one form in which they are compared: what routes match is what the upstream sees.
//!
//! As Envoy does where Istio asks for it: escaped unreserved characters are unescaped, `\` becomes `/`, and the segments `.` and `..`
//! are resolved. A path only ever becomes shorter, so that it is changed where it is.

/// Normalizes a path, without its query. Returns how long it has become; most paths stay as they are.
pub(super) fn normalize(path: &mut [u8]) -> usize {
    let dotted = path.windows(2).any(|pair| pair == b"/.");
    if !dotted && !path.iter().any(|byte| matches!(byte, b'%' | b'\\')) {
        return path.len();
    }
    let unescaped = unescape(path);
    let path = path.get_mut(..unescaped).unwrap_or_default();
    if path.windows(2).any(|pair| pair == b"/.") {
        resolve(path)
    } else {
        unescaped
    }
}

fn unescape(path: &mut [u8]) -> usize {
    let (mut from, mut to) = (0, 0);
    while let Some(byte) = path.get(from).copied() {
        let escaped = match (byte, path.get(from + 1..from + 3)) {
            (b'%', Some([high, low])) => {
                hex(*high).zip(hex(*low)).map(|(high, low)| high << 4 | low)
            }
            _ => None,
        };
        let (byte, step) = match escaped.filter(|byte| is_unreserved(*byte)) {
            Some(byte) => (byte, 3),
            None if byte == b'\\' => (b'/', 1),
            None => (byte, 1),
        };
        if let Some(place) = path.get_mut(to) {
            *place = byte;
        }
        from += step;
        to += 1;
    }
    to
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|digit| digit as u8)
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// Resolves `.` and `..`; what would lead above the root stays at the root.
fn resolve(path: &mut [u8]) -> usize {
    let (mut from, mut to) = (0, 0);
    while from < path.len() {
        // Each turn takes a slash with the segment behind it.
        let rest = path.get(from + 1..).unwrap_or_default();
        let length = rest
            .iter()
            .position(|byte| *byte == b'/')
            .unwrap_or(rest.len());
        let end = from + 1 + length;
        let last = end >= path.len();
        match rest.get(..length) {
            Some(b".") | Some(b"..") => {
                if length == 2 {
                    let before = path.get(..to).unwrap_or_default();
                    to = before.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
                }
                // What ends in a dot segment is a directory.
                if last && let Some(place) = path.get_mut(to) {
                    *place = b'/';
                    to += 1;
                }
            }
            _ => {
                path.copy_within(from..end, to);
                to += end - from;
            }
        }
        from = end;
    }
    to
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn normal(path: &str) -> String {
        let mut bytes = path.as_bytes().to_vec();
        let length = normalize(&mut bytes);
        bytes.truncate(length);
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn paths_are_resolved_as_envoy_does() {
        for (path, expect) in [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/a//b/", "/a//b/"),
            ("/a/./b", "/a/b"),
            ("/a/../b", "/b"),
            ("/a/b/..", "/a/"),
            ("/a/b/.", "/a/b/"),
            ("/..", "/"),
            ("/../../x", "/x"),
            ("/.", "/"),
            ("/...", "/..."),
            ("/.well-known/x", "/.well-known/x"),
            ("/a/%2e%2E/b", "/b"),
            ("/a\\..\\b", "/b"),
            ("/%41%2f%7e%zz%", "/A%2f~%zz%"),
            ("/a/..b", "/a/..b"),
        ] {
            assert_eq!(normal(path), expect, "{path}");
        }
    }

    proptest! {
        #[test]
        fn what_is_normal_has_no_dot_segments_and_begins_with_a_slash(path in "/[a./\\\\%2e]{0,24}") {
            let once = normal(&path);
            prop_assert!(once.starts_with('/'));
            prop_assert!(!once.split('/').any(|segment| segment == "." || segment == ".."), "{}", once);
        }
    }
}
