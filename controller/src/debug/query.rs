//! The query of a URL.

/// Names and values, percent-decoded, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// As it was written.
    raw: String,
    pairs: Vec<(String, String)>,
}

// === impl Query ===

impl Query {
    /// Reads `name=value&name=value`.
    pub fn parse(text: &str) -> Self {
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        });
        Self {
            raw: text.to_owned(),
            pairs: pairs.collect(),
        }
    }

    /// The text that it was read from.
    pub fn raw(&self) -> &str {
        &self.raw
    }

    /// The first value of a name.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.pairs.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// Resolves `%XX` and `+`. What is no escape stays as it is.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = after
            .get(..2)
            .and_then(|digits| std::str::from_utf8(digits).ok());
        let escaped = escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        (bytes, rest) = match (first, escaped) {
            (b'%', Some(byte)) => (with(bytes, byte), &after[2..]),
            (b'+', _) => (with(bytes, b' '), after),
            (byte, _) => (with(bytes, *byte), after),
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn with(mut bytes: Vec<u8>, byte: u8) -> Vec<u8> {
    bytes.push(byte);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_decoded() {
        let query = Query::parse("proxyID=web%2Edefault&brief&bad=%2&x=a+b&y=%+f");
        assert_eq!(query.get("proxyID"), Some("web.default"));
        assert_eq!(query.get("brief"), Some(""));
        assert_eq!(query.get("bad"), Some("%2"));
        assert_eq!(query.get("x"), Some("a b"));
        assert_eq!(query.get("none"), None);
    }
}
