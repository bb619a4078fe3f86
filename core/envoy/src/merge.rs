//! One message laid over another, as Istio's `MERGE` does it.

use bytes::Bytes;

use crate::descriptor::{Field, Kind, Message, Shape};
use crate::wire::{self, Raw, RawField};

/// Lays a message over another of the same full name.
///
/// What protobuf calls merging: values replace, lists grow, entries of maps replace those of the same key, messages are merged field by
/// field, and of a oneof the new member counts. Durations replace as a whole, so that `1.5s` under `2s` does not become `2.5s`. As in
/// protobuf, a default says nothing: a wrapped `false` over a wrapped `true` leaves that. A value of `google.protobuf.Any` replaces; see
/// the callers for filters, whose configurations are merged.
///
/// # Errors
/// In words, when one of them is no message. Fields that are not in Envoy's API are kept.
pub fn merge(name: &str, into: &Bytes, from: &Bytes) -> Result<Bytes, String> {
    let Some(message) = Message::find(name) else {
        return Err(format!("{name} is no message of Envoy's API"));
    };
    let mut fields = wire::fields(into.clone())?;
    for (number, raw) in wire::fields(from.clone())? {
        match message.number(number) {
            Some(field) => put(message, field, raw, &mut fields)?,
            None => fields.push((number, raw)),
        }
    }
    Ok(wire::message(&fields))
}

fn put(message: Message, field: Field, raw: Raw, fields: &mut Vec<RawField>) -> Result<(), String> {
    let Field { number, .. } = field;
    if let Some(oneof) = field.oneof {
        let is_other = |other: u32| {
            other != number && message.number(other).and_then(|it| it.oneof) == Some(oneof)
        };
        fields.retain(|(other, _)| !is_other(*other));
    }
    let known = fields.iter().position(|(other, _)| *other == number);
    match (field.shape, field.kind) {
        (Shape::List, _) => fields.push((number, raw)),
        (Shape::Map(_), _) => {
            let key = entry_key(&raw)?;
            let mut kept = Vec::with_capacity(fields.len());
            for (other, known) in fields.drain(..) {
                if other != number || entry_key(&known)? != key {
                    kept.push((other, known));
                }
            }
            *fields = kept;
            fields.push((number, raw));
        }
        (Shape::One, Kind::Message(name)) if name != "google.protobuf.Duration" => {
            let merged = match known.and_then(|at| fields.get(at)) {
                Some((_, below)) => merge(name, &below.clone().bytes()?, &raw.bytes()?)?,
                None => raw.bytes()?,
            };
            replace(fields, number, Raw::Bytes(merged));
        }
        (Shape::One, _) => replace(fields, number, raw),
    }
    Ok(())
}

fn replace(fields: &mut Vec<RawField>, number: u32, raw: Raw) {
    fields.retain(|(other, _)| *other != number);
    fields.push((number, raw));
}

fn entry_key(raw: &Raw) -> Result<Option<Raw>, String> {
    let entry = wire::fields(raw.clone().bytes()?)?;
    Ok(entry
        .into_iter()
        .find(|(number, _)| *number == 1)
        .map(|(_, key)| key))
}
