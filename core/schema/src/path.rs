//! Where in an object something is: `spec.http[0].route[1].weight`.

use std::fmt;
use std::sync::Arc;

/// Path of a field inside an object: `spec.http[0].route[1].weight`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FieldPath(pub Vec<Segment>);

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Segment {
    /// Into a mapping.
    Key(Arc<str>),
    /// Into a sequence.
    Index(usize),
}

// === impl FieldPath ===

impl FieldPath {
    /// The object itself.
    pub fn root() -> Self {
        Self::default()
    }

    /// This path with a key added.
    pub fn key(&self, key: impl Into<Arc<str>>) -> Self {
        self.with(Segment::Key(key.into()))
    }

    /// This path with an index added.
    pub fn index(&self, index: usize) -> Self {
        self.with(Segment::Index(index))
    }

    /// Whether this is another path or lies inside of it.
    pub fn starts_with(&self, outer: &FieldPath) -> bool {
        self.0.starts_with(&outer.0)
    }

    /// A path from keys separated by dots and indices in brackets, `spec.http[0].match`. Keys that contain dots cannot be
    /// written this way; use [`FieldPath::key`].
    pub fn parse(text: &str) -> Self {
        let mut segments = Vec::new();
        for part in text.split('.').filter(|part| !part.is_empty()) {
            let mut pieces = part.split('[');
            if let Some(key) = pieces.next().filter(|key| !key.is_empty()) {
                segments.push(Segment::Key(key.into()));
            }
            for piece in pieces {
                if let Ok(index) = piece.trim_end_matches(']').parse() {
                    segments.push(Segment::Index(index));
                }
            }
        }
        Self(segments)
    }

    fn with(&self, segment: Segment) -> Self {
        let mut segments = self.0.clone();
        segments.push(segment);
        Self(segments)
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Key(key) if key.contains(['.', '/', '[']) => write!(f, "[{key:?}]")?,
                Segment::Key(key) if position == 0 => f.write_str(key)?,
                Segment::Key(key) => write!(f, ".{key}")?,
                Segment::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_read_as_they_are_written() {
        for text in [
            "",
            "spec",
            "spec.http[0].route[1].destination.host",
            "items[3]",
        ] {
            assert_eq!(FieldPath::parse(text).to_string(), text);
        }
    }

    #[test]
    fn keys_with_dots_are_quoted() {
        let path = FieldPath::parse("metadata.labels").key("app.kubernetes.io/name");
        assert_eq!(
            path.to_string(),
            "metadata.labels[\"app.kubernetes.io/name\"]"
        );
    }
}
