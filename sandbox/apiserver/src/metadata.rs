//! Names, identities and the other metadata that the server gives to objects.

use rand::RngExt;

use super::status::Cause;
use serde_json::json;

/// Letters of generated names: none that could form words.
const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// How many of them.
const GENERATED: usize = 5;

/// The longest name.
const LONGEST: usize = 253;

/// How a kind's objects may be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameRule {
    /// A DNS name: `a.b-c`.
    Subdomain,
    /// One part of a DNS name, of up to 63 letters.
    Label,
    /// Whatever can be part of a path, as roles are called.
    Segment,
}

// === impl NameRule ===

impl NameRule {
    /// The rule of a kind.
    pub fn of(group: &str, plural: &str) -> Self {
        match (group, plural) {
            ("", "namespaces" | "services") => Self::Label,
            ("rbac.authorization.k8s.io", _) => Self::Segment,
            _ => Self::Subdomain,
        }
    }

    /// Why a name does not do.
    pub fn check(self, name: &str) -> Option<Cause> {
        let fault = |why: &str| Some(Cause::invalid("metadata.name", &json!(name), why));
        match self {
            Self::Segment if name.is_empty() || matches!(name, "." | "..") => {
                fault("may not be '.' or '..'")
            }
            Self::Segment if name.contains(['/', '%']) => fault("may not contain '/' or '%'"),
            Self::Segment => None,
            Self::Label if !is_label(name) => fault(
                "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start \
                 and end with an alphanumeric character",
            ),
            Self::Subdomain if !is_subdomain(name) => fault(
                "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must \
                 start and end with an alphanumeric character",
            ),
            Self::Label | Self::Subdomain => None,
        }
    }
}

/// True for one part of a DNS name.
pub fn is_label(text: &str) -> bool {
    let inner =
        |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
    !text.is_empty()
        && text.len() <= 63
        && text.chars().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// True for a DNS name.
pub fn is_subdomain(text: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty()
            && !part.starts_with('-')
            && !part.ends_with('-')
            && part.chars().all(|letter| {
                letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-'
            })
    };
    text.len() <= LONGEST && text.split('.').all(part)
}

/// A name that nobody has: the prefix and some letters.
pub fn generate_name(prefix: &str) -> String {
    let mut name: String = prefix.chars().take(63 - GENERATED).collect();
    let mut random = rand::rng();
    for _ in 0..GENERATED {
        let letter = LETTERS[random.random_range(0..LETTERS.len())];
        name.push(char::from(letter));
    }
    name
}

/// A new identity: a random UUID.
pub fn uid() -> String {
    let mut bytes: [u8; 16] = rand::random();
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ]
    .join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rule_of_their_kind() {
        let of = NameRule::of;
        assert!(of("", "pods").check("a.b-1").is_none());
        assert!(of("", "pods").check("A").is_some());
        assert!(of("", "services").check("a.b").is_some());
        assert!(
            of("rbac.authorization.k8s.io", "roles")
                .check("system:x")
                .is_none()
        );
        assert!(
            of("rbac.authorization.k8s.io", "roles")
                .check("a/b")
                .is_some()
        );
    }

    #[test]
    fn identities_are_random_uuids() {
        let one = uid();
        assert_eq!(one.len(), 36);
        assert_eq!(one.as_bytes()[14], b'4');
        assert_ne!(one, uid());
        assert_eq!(generate_name("web-").len(), 9);
    }
}
