//! Revisions: the names by which several control planes in one cluster are told apart.

/// The revision of a control plane that nobody gave a name. Its objects have names without a revision.
pub const DEFAULT_REVISION: &str = "default";

/// Longest name: `istiod-NAME` must be a DNS label.
const LONGEST: usize = 56;

/// The name of an object of a revision: `istiod`, or `istiod-NAME`.
pub fn revised(name: &str, revision: &str) -> String {
    match revision {
        DEFAULT_REVISION | "" => name.to_owned(),
        revision => format!("{name}-{revision}"),
    }
}

/// Checks that a text can be a revision: part of DNS labels and value of a label.
///
/// # Errors
/// What is wrong with it.
pub fn check_revision(text: &str) -> Result<(), String> {
    let inside = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let valid = !text.is_empty()
        && text.len() <= LONGEST
        && text.chars().all(inside)
        && !text.starts_with('-')
        && !text.ends_with('-');
    if valid {
        return Ok(());
    }
    Err(format!(
        "{text:?} is no name of a revision: use lower-case letters, digits and hyphens inside, {LONGEST} characters at most, such as 1-32-1"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_other_revisions_than_the_default_are_in_names() {
        assert_eq!(revised("istiod", "default"), "istiod");
        assert_eq!(revised("istiod", "canary"), "istiod-canary");
    }

    #[test]
    fn a_revision_is_part_of_a_dns_label() {
        for good in ["canary", "1-32-1", "a"] {
            assert_eq!(check_revision(good), Ok(()));
        }
        for bad in ["", "1.32", "Canary", "-a", "a-", &"a".repeat(57)] {
            assert!(check_revision(bad).is_err(), "{bad}");
        }
    }
}
