//! Protobuf's wire format: fields of encoded messages, without knowing what they are.

use bytes::{Buf, BufMut, Bytes};
use prost::encoding::{WireType, decode_key, decode_varint, encode_key, encode_varint};

/// A value as it is on the wire.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Raw {
    /// A varint.
    Number(u64),
    /// Four bytes.
    Fixed32(u32),
    /// Eight bytes.
    Fixed64(u64),
    /// A text, bytes, a message or packed numbers.
    Bytes(Bytes),
}

/// A field of an encoded message.
pub(crate) type RawField = (u32, Raw);

/// The fields of an encoded message, in their order.
///
/// # Errors
/// In words, when the bytes are no message.
pub(crate) fn fields(mut bytes: Bytes) -> Result<Vec<RawField>, String> {
    let mut fields = Vec::new();
    while bytes.has_remaining() {
        let (number, wire) = decode_key(&mut bytes).map_err(|error| error.to_string())?;
        fields.push((number, Raw::read(wire, &mut bytes)?));
    }
    Ok(fields)
}

/// The message of these fields.
pub(crate) fn message(fields: &[RawField]) -> Bytes {
    let mut bytes = Vec::new();
    for (number, raw) in fields {
        raw.write(*number, &mut bytes);
    }
    bytes.into()
}

// === impl Raw ===

impl Raw {
    fn read(wire: WireType, bytes: &mut Bytes) -> Result<Self, String> {
        let long = || "a number is longer than its message".to_owned();
        match wire {
            WireType::Varint => decode_varint(bytes)
                .map(Self::Number)
                .map_err(|error| error.to_string()),
            WireType::LengthDelimited => {
                let length = decode_varint(bytes).map_err(|error| error.to_string())?;
                let length = usize::try_from(length)
                    .ok()
                    .filter(|length| *length <= bytes.remaining())
                    .ok_or("a field is longer than its message")?;
                Ok(Self::Bytes(bytes.split_to(length)))
            }
            WireType::SixtyFourBit => bytes
                .try_get_u64_le()
                .map(Self::Fixed64)
                .map_err(|_| long()),
            WireType::ThirtyTwoBit => bytes
                .try_get_u32_le()
                .map(Self::Fixed32)
                .map_err(|_| long()),
            other => Err(format!("no field has the wire type {other:?}")),
        }
    }

    fn write(&self, number: u32, out: &mut Vec<u8>) {
        match self {
            Self::Number(value) => {
                encode_key(number, WireType::Varint, out);
                encode_varint(*value, out);
            }
            Self::Fixed32(value) => {
                encode_key(number, WireType::ThirtyTwoBit, out);
                out.put_u32_le(*value);
            }
            Self::Fixed64(value) => {
                encode_key(number, WireType::SixtyFourBit, out);
                out.put_u64_le(*value);
            }
            Self::Bytes(bytes) => {
                encode_key(number, WireType::LengthDelimited, out);
                encode_varint(bytes.len() as u64, out);
                out.extend_from_slice(bytes);
            }
        }
    }

    /// The numbers of a packed list of varints, or the one value.
    pub(crate) fn unpack(self, is_varint: bool) -> Result<Vec<Self>, String> {
        match self {
            Self::Bytes(mut bytes) if is_varint => {
                let mut numbers = vec![];
                while bytes.has_remaining() {
                    let number = decode_varint(&mut bytes).map_err(|error| error.to_string())?;
                    numbers.push(Self::Number(number));
                }
                Ok(numbers)
            }
            other => Ok(vec![other]),
        }
    }

    pub(crate) fn number(self) -> Result<u64, String> {
        match self {
            Self::Number(number) | Self::Fixed64(number) => Ok(number),
            Self::Fixed32(number) => Ok(number.into()),
            Self::Bytes(_) => Err("bytes stand where a number is expected".to_owned()),
        }
    }

    pub(crate) fn bytes(self) -> Result<Bytes, String> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err("a number stands where bytes are expected".to_owned()),
        }
    }

    pub(crate) fn text(self) -> Result<String, String> {
        String::from_utf8(self.bytes()?.into()).map_err(|_| "a text is not UTF-8".to_owned())
    }
}

/// The type URL and the value of an encoded `google.protobuf.Any`.
pub(crate) fn any(bytes: Bytes) -> Result<(String, Bytes), String> {
    let (mut url, mut value) = (String::new(), Bytes::new());
    for (number, raw) in fields(bytes)? {
        match number {
            1 => url = raw.text()?,
            2 => value = raw.bytes()?,
            _ => {}
        }
    }
    Ok((url, value))
}

/// An encoded `google.protobuf.Any`.
pub(crate) fn pack(url: &str, value: Bytes) -> Bytes {
    message(&[
        (1, Raw::Bytes(url.as_bytes().to_vec().into())),
        (2, Raw::Bytes(value)),
    ])
}
