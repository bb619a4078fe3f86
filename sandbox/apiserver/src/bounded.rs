//! Values of bounded size from any format: what is read is counted before it is kept.
//!
//! A text of YAML can stand for much more than it holds, since an alias repeats what its anchor names, and aliases can be
//! nested. So the size of the text says nothing, and the values are counted as they come.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::body::DEEPEST;

/// What a value costs beside its text, in bytes.
const OVERHEAD: usize = 32;

/// Reads a value of about so many bytes at most.
pub fn read<'de, D: Deserializer<'de>>(input: D, most: usize) -> Result<Value, D::Error> {
    let left = Cell::new(most);
    Seed {
        left: &left,
        depth: 0,
    }
    .deserialize(input)
}

/// Reads one value, which lies so deep.
#[derive(Clone, Copy)]
struct Seed<'a> {
    left: &'a Cell<usize>,
    depth: usize,
}

impl Seed<'_> {
    fn take<E: Error>(self, bytes: usize) -> Result<(), E> {
        let left = self.left.get().checked_sub(bytes + OVERHEAD);
        let left = left.ok_or_else(|| {
            E::custom("it stands for more than an object may hold, such as aliases of aliases")
        })?;
        self.left.set(left);
        Ok(())
    }

    fn inner<E: Error>(self) -> Result<Self, E> {
        if self.depth >= DEEPEST {
            return Err(E::custom(format_args!(
                "it is nested more than {DEEPEST} levels deep"
            )));
        }
        Ok(Self {
            depth: self.depth + 1,
            ..self
        })
    }

    fn number<E: Error>(self, number: impl Into<Number>) -> Result<Value, E> {
        self.take(0)?;
        Ok(Value::Number(number.into()))
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<Value, D::Error> {
        input.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value that JSON has too")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        self.take(0)?;
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        self.number(value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        self.number(value)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        self.take(0)?;
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        self.take(text.len())?;
        Ok(Value::String(text.to_owned()))
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        self.take(0)?;
        Ok(Value::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Value, E> {
        self.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, input: D) -> Result<Value, D::Error> {
        self.deserialize(input)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        self.take(0)?;
        let inner = self.inner()?;
        let mut values = Vec::new();
        while let Some(value) = items.next_element_seed(inner)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        self.take(0)?;
        let inner = self.inner()?;
        let mut values = Map::new();
        while let Some(name) = fields.next_key::<String>()? {
            self.take(name.len())?;
            values.insert(name, fields.next_value_seed(inner)?);
        }
        Ok(Value::Object(values))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn yaml(text: &str, most: usize) -> Result<Value, String> {
        read(serde_yaml::Deserializer::from_str(text), most).map_err(|error| error.to_string())
    }

    #[test]
    fn values_are_what_they_were() {
        let text = "a: [1, -2, 2.5, true, null, x, 'y']\nb: {c: &d {e: f}, g: *d}\n";
        let expected: Value = serde_yaml::from_str(text).unwrap();
        assert_eq!(yaml(text, 1 << 20), Ok(expected.clone()));
        assert_eq!(
            read(&expected, 1 << 20).unwrap()["b"],
            json!({"c": {"e": "f"}, "g": {"e": "f"}})
        );
    }

    #[test]
    fn aliases_are_counted_with_what_they_stand_for() {
        let mut nested = format!("a0: &a0 [{}]\n", ["x"; 9].join(", "));
        for level in 1..9 {
            let aliases = vec![format!("*a{}", level - 1); 9].join(", ");
            nested.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
        }
        let error = yaml(&nested, 1 << 20).unwrap_err();
        assert!(error.contains("aliases"), "{error}");
        // A long text that is repeated, which costs the reader one event each time.
        let long = format!(
            "a: &a {}\nb: [{}]\n",
            "x".repeat(10_000),
            vec!["*a"; 1000].join(", ")
        );
        let error = yaml(&long, 1 << 20).unwrap_err();
        assert!(error.contains("aliases"), "{error}");
    }

    #[test]
    fn depth_is_limited() {
        let deep = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
        assert!(yaml(&deep(100), 1 << 20).is_ok());
        assert!(yaml(&deep(DEEPEST + 1), 1 << 20).is_err());
    }
}
