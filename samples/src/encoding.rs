//! Percent encoding, web forms and HTML text, as far as the samples need them.

/// Decodes `%41` and, as in forms and queries, `+` for a space. What is not a valid escape stays as
/// it is; what is not UTF-8 afterwards is replaced.
pub(crate) fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        bytes.push(match (first, tail) {
            (b'+', _) => b' ',
            (b'%', [high, low, after @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    rest = after;
                    high << 4 | low
                }
                _ => b'%',
            },
            _ => first,
        });
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Encodes everything but letters, digits, `-`, `.`, `_` and `~`, so that the result is safe in a
/// cookie, a path and a query.
pub(crate) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// The pairs of a query or of a form body, in order, decoded.
pub(crate) fn pairs(text: &str) -> impl Iterator<Item = (String, String)> {
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (decode(name), decode(value)))
}

/// `text` as it may stand in HTML, between tags or in a quoted attribute.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(character),
        }
    }
    escaped
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_what_is_valid_and_keeps_the_rest() {
        assert_eq!(decode("a%20b+c%2"), "a b c%2");
        assert_eq!(decode("%zz%C3%A9%ff"), "%zzé\u{fffd}");
    }

    #[test]
    fn encoding_comes_back() {
        for text in ["jason", "a b;c=d", "é%\"<>\r\n"] {
            assert_eq!(decode(&encode(text)), text);
        }
        assert_eq!(encode("a b;"), "a%20b%3B");
    }

    #[test]
    fn pairs_of_a_form() {
        let found: Vec<_> = pairs("username=ja+son&passwd=&&x").collect();
        let expected = [("username", "ja son"), ("passwd", ""), ("x", "")];
        assert_eq!(
            found,
            expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
    }
}
