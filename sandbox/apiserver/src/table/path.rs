//! The JSON paths of printer columns: `.spec.hosts`, `.status.conditions[?(@.type=="Ready")].status`, `.spec.ports[*].number`.
//!
//! Only what CRDs use is understood; anything else finds nothing, as a missing field does.

use serde_json::Value;

/// All that a path finds.
pub fn find<'a>(value: &'a Value, path: &str) -> Vec<&'a Value> {
    let mut found = vec![value];
    let mut rest = path.trim();
    while !rest.is_empty() {
        let Some((step, after)) = step(rest) else {
            return Vec::new();
        };
        found = found
            .into_iter()
            .flat_map(|value| step.apply(value))
            .collect();
        rest = after;
    }
    found
}

/// One step of a path.
#[derive(Debug)]
enum Step<'a> {
    Field(String),
    All,
    Index(i64),
    /// The elements where the field at a path equals (or, if not `equal`, differs from) a text.
    Filter {
        path: &'a str,
        equal: bool,
        text: String,
    },
}

/// Takes the first step off a path.
fn step(path: &str) -> Option<(Step<'_>, &str)> {
    if let Some(rest) = path.strip_prefix('.') {
        if rest.starts_with('[') {
            return step(rest);
        }
        let mut name = String::new();
        let mut letters = rest.char_indices();
        while let Some((at, letter)) = letters.next() {
            match letter {
                // An escaped dot belongs to the name: `.metadata.annotations.example\.com/x`.
                '\\' => name.extend(letters.next().map(|(_, letter)| letter)),
                '.' | '[' => return Some((Step::Field(name), &rest[at..])),
                _ => name.push(letter),
            }
        }
        return Some((Step::Field(name), ""));
    }
    let inner = path.strip_prefix('[')?;
    let end = closing(inner)?;
    let (inside, rest) = (inner[..end].trim(), &inner[end + 1..]);
    if inside == "*" {
        return Some((Step::All, rest));
    }
    if let Ok(index) = inside.parse() {
        return Some((Step::Index(index), rest));
    }
    if let Some(name) = unquoted(inside) {
        return Some((Step::Field(name), rest));
    }
    filter(inside).map(|filter| (filter, rest))
}

/// Where the bracket closes, not counting those in quotes or deeper ones.
fn closing(text: &str) -> Option<usize> {
    let (mut depth, mut quote) = (0_usize, None);
    for (at, letter) in text.char_indices() {
        match (quote, letter) {
            (Some(open), _) if letter == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(letter),
            (None, '[') => depth += 1,
            (None, ']') if depth == 0 => return Some(at),
            (None, ']') => depth -= 1,
            _ => {}
        }
    }
    None
}

fn unquoted(text: &str) -> Option<String> {
    let inside = |quote| text.strip_prefix(quote)?.strip_suffix(quote);
    inside('\'').or_else(|| inside('"')).map(str::to_owned)
}

fn filter(text: &str) -> Option<Step<'_>> {
    let condition = text.strip_prefix("?(")?.strip_suffix(')')?.trim();
    let (operator, equal) = [("==", true), ("!=", false)]
        .into_iter()
        .find(|(operator, _)| condition.contains(operator))?;
    let (path, literal) = condition.split_once(operator)?;
    let literal = literal.trim();
    Some(Step::Filter {
        path: path.trim().strip_prefix('@')?,
        equal,
        text: unquoted(literal).unwrap_or_else(|| literal.to_owned()),
    })
}

// === impl Step ===

impl Step<'_> {
    fn apply<'a>(&self, value: &'a Value) -> Vec<&'a Value> {
        match self {
            Self::Field(name) => value.get(name).into_iter().collect(),
            Self::All => match value {
                Value::Array(elements) => elements.iter().collect(),
                Value::Object(fields) => fields.values().collect(),
                _ => Vec::new(),
            },
            Self::Index(index) => {
                let elements = value.as_array().map(Vec::as_slice).unwrap_or_default();
                let position = match usize::try_from(*index) {
                    Ok(position) => Some(position),
                    // Negative ones count from the end.
                    Err(_) => usize::try_from(index.unsigned_abs())
                        .ok()
                        .and_then(|back| elements.len().checked_sub(back)),
                };
                position
                    .and_then(|position| elements.get(position))
                    .into_iter()
                    .collect()
            }
            Self::Filter { path, equal, text } => {
                let elements = value.as_array().into_iter().flatten();
                elements
                    .filter(|element| {
                        let found = find(element, path);
                        found.iter().any(|found| plain(found) == *text) == *equal
                    })
                    .collect()
            }
        }
    }
}

/// A scalar as text, anything else as JSON.
pub fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_of_printer_columns() {
        let object = json!({
            "metadata": {"annotations": {"example.com/x": "note"}},
            "spec": {"hosts": ["a", "b"], "ports": [{"n": 1}, {"n": 2}]},
            "status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "Other", "status": "False"}]},
        });
        let texts =
            |path: &str| -> Vec<String> { find(&object, path).into_iter().map(plain).collect() };
        assert_eq!(texts(".spec.hosts"), [r#"["a","b"]"#]);
        assert_eq!(texts(".spec.ports[*].n"), ["1", "2"]);
        assert_eq!(texts(".spec.ports[-1].n"), ["2"]);
        assert_eq!(
            texts(r#".status.conditions[?(@.type=="Ready")].status"#),
            ["True"]
        );
        assert_eq!(
            texts(r".status.conditions[?(@.type!='Ready')].status"),
            ["False"]
        );
        assert_eq!(texts(r".metadata.annotations.example\.com/x"), ["note"]);
        assert_eq!(texts(".metadata.annotations['example.com/x']"), ["note"]);
        for nothing in [
            ".spec.none",
            ".spec.hosts[7]",
            "spec",
            "[",
            ".spec.hosts[?(x)]",
        ] {
            assert_eq!(texts(nothing), Vec::<String>::new(), "{nothing}");
        }
    }
}
