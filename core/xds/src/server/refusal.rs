//! Which resources a refusal means.

use std::sync::Arc;

/// Longest part of a refusal that is read.
const LIMIT: usize = 64 * 1024;

/// The candidates that a message names as whole words.
pub(super) fn named<'a>(
    message: &str,
    candidates: impl Iterator<Item = &'a Arc<str>>,
) -> Vec<Arc<str>> {
    let mut end = message.len().min(LIMIT);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    let message = message.get(..end).unwrap_or_default();
    candidates
        .filter(|name| names(message, name))
        .cloned()
        .collect()
}

fn names(message: &str, name: &str) -> bool {
    if name.is_empty() {
        return false;
    }
    message.match_indices(name).any(|(start, _)| {
        let before = message.get(..start).unwrap_or_default();
        let after = message.get(start + name.len()..).unwrap_or_default();
        let full_stop = after
            .strip_prefix('.')
            .is_some_and(|rest| rest.chars().next().is_none_or(char::is_whitespace));
        !before.ends_with(is_name) && (full_stop || !after.starts_with(is_name))
    })
}

/// Whether a character may be part of a resource's name.
fn is_name(char: char) -> bool {
    char.is_alphanumeric() || "|._-/*".contains(char)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(message: &str, candidates: &[&str], expect: &[&str]) {
        let candidates: Vec<Arc<str>> = candidates.iter().map(|name| (*name).into()).collect();
        let found = named(message, candidates.iter());
        assert_eq!(found.iter().map(|name| &**name).collect::<Vec<_>>(), expect);
    }

    #[test]
    fn names_are_whole_words() {
        check(
            "Error adding/updating cluster(s) outbound|80||a.b: bad policy, outbound|80||c.d: worse",
            &[
                "outbound|80||a",
                "outbound|80||a.b",
                "outbound|80||c.d",
                "80",
            ],
            &["outbound|80||a.b", "outbound|80||c.d"],
        );
        check("\"8080\": no", &["80", "8080"], &["8080"]);
        check(
            "cannot use 0.0.0.0_80. Sorry",
            &["0.0.0.0_80"],
            &["0.0.0.0_80"],
        );
        check("no", &["", "nope"], &[]);
    }
}
