//! Paths in the one form in which they are compared: what policies and routes match is what the upstream sees.
//!
//! As Envoy does where Istio asks for it: escaped slashes are unescaped (at the highest level only), escaped unreserved characters are
//! unescaped, `\` becomes `/`, the segments `.` and `..` are resolved, and then slashes that follow each other become one (at the
//! two highest levels). A path only ever becomes shorter, so that it is changed where it is.

use mesh_ir::PathNormalization;

use super::refusal::Refusal;

/// Normalizes a path, without its query. Returns how long it has become; most paths stay as they are.
///
/// # Errors
/// When the path holds an escaped NUL, which no program reads alike.
pub(super) fn normalize(path: &mut [u8], how: PathNormalization) -> Result<usize, Refusal> {
    let merges = how >= PathNormalization::MergeSlashes;
    if how == PathNormalization::None || !is_suspicious(path, merges) {
        return Ok(path.len());
    }
    let mut length = unescape(path, how == PathNormalization::DecodeAndMergeSlashes)?;
    let mut part = path.get_mut(..length).unwrap_or_default();
    if part.windows(2).any(|pair| pair == b"/.") {
        length = resolve(part);
        part = path.get_mut(..length).unwrap_or_default();
    }
    Ok(if merges { merge_slashes(part) } else { length })
}

/// Whether a path may have another form.
fn is_suspicious(path: &[u8], merges: bool) -> bool {
    let pair = |pair: &[u8]| pair == b"/." || merges && pair == b"//";
    path.windows(2).any(pair) || path.iter().any(|byte| matches!(byte, b'%' | b'\\'))
}

fn unescape(path: &mut [u8], slashes: bool) -> Result<usize, Refusal> {
    let (mut from, mut to) = (0, 0);
    while let Some(byte) = path.get(from).copied() {
        let escaped = match (byte, path.get(from + 1..from + 3)) {
            (b'%', Some([high, low])) => {
                hex(*high).zip(hex(*low)).map(|(high, low)| high << 4 | low)
            }
            _ => None,
        };
        let (byte, step) = match escaped {
            Some(0) => return Err(Refusal::bad("path_normalization_failed")),
            Some(b'/' | b'\\') if slashes => (b'/', 3),
            Some(byte) if is_unreserved(byte) => (byte, 3),
            Some(_) => (byte, 1),
            None if byte == b'\\' => (b'/', 1),
            None => (byte, 1),
        };
        if let Some(place) = path.get_mut(to) {
            *place = byte;
        }
        from += step;
        to += 1;
    }
    Ok(to)
}

/// Makes one slash of slashes that follow each other.
fn merge_slashes(path: &mut [u8]) -> usize {
    let mut to = 0;
    let mut before = 0;
    for from in 0..path.len() {
        let Some(byte) = path.get(from).copied() else {
            break;
        };
        if byte == b'/' && std::mem::replace(&mut before, byte) == b'/' {
            continue;
        }
        before = byte;
        if let Some(place) = path.get_mut(to) {
            *place = byte;
        }
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

    fn normal(path: &str, how: PathNormalization) -> Option<String> {
        let mut bytes = path.as_bytes().to_vec();
        let length = normalize(&mut bytes, how).ok()?;
        bytes.truncate(length);
        Some(String::from_utf8(bytes).unwrap())
    }

    #[track_caller]
    fn check(how: PathNormalization, cases: &[(&str, &str)]) {
        for (path, expect) in cases {
            assert_eq!(normal(path, how).as_deref(), Some(*expect), "{path}");
        }
    }

    #[test]
    fn paths_are_resolved_as_envoy_does() {
        check(
            PathNormalization::Base,
            &[
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
            ],
        );
    }

    #[test]
    fn slashes_are_merged_after_segments_are_resolved() {
        check(
            PathNormalization::MergeSlashes,
            &[
                ("/a//b///c", "/a/b/c"),
                ("//", "/"),
                ("//admin", "/admin"),
                ("/a//../b", "/a/b"),
                ("/a%2f%2fb", "/a%2f%2fb"),
                ("/a\\\\b", "/a/b"),
            ],
        );
    }

    #[test]
    fn escaped_slashes_are_slashes_at_the_highest_level() {
        check(
            PathNormalization::DecodeAndMergeSlashes,
            &[
                ("/a%2fb", "/a/b"),
                ("/a%2F%5C%5cb", "/a/b"),
                ("/a/x%2f..%2fb", "/a/b"),
                ("/a%252fb", "/a%252fb"),
                ("//admin", "/admin"),
            ],
        );
    }

    #[test]
    fn paths_stay_as_they_are_where_nothing_is_asked_for() {
        for path in ["/a//../%41%2f\\", "/%00"] {
            check(PathNormalization::None, &[(path, path)]);
        }
    }

    #[test]
    fn an_escaped_nul_is_refused() {
        for path in ["/%00", "/a%%0000b", "/xyz/.%00../abc"] {
            assert_eq!(normal(path, PathNormalization::Base), None, "{path}");
        }
        check(PathNormalization::Base, &[("/%2500", "/%2500")]);
    }

    proptest! {
        #[test]
        fn what_is_normal_has_no_dot_segments_and_begins_with_a_slash(path in "/[a./\\\\%25ef]{0,24}") {
            for how in [
                PathNormalization::Base,
                PathNormalization::MergeSlashes,
                PathNormalization::DecodeAndMergeSlashes,
            ] {
                let once = normal(&path, how).unwrap();
                prop_assert!(once.starts_with('/'));
                prop_assert!(!once.split('/').any(|segment| segment == "." || segment == ".."), "{}", once);
                prop_assert!(how == PathNormalization::Base || !once.contains("//"), "{}", once);
            }
        }
    }
}
