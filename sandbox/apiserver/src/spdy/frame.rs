//! Frames: found in a stream of bytes, and written.

/// The end of a stream's direction.
pub const FIN: u8 = 1;

const VERSION: u16 = 3;
const SYN_REPLY: u16 = 2;
const PING: u16 = 6;
const RST_STREAM: u16 = 3;

/// The stream was refused.
pub const REFUSED: u32 = 3;

/// No frame of such a client is longer.
const LONGEST: usize = 1 << 20;

/// One frame of the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// Opens a stream; with its headers, compressed.
    Open {
        stream: u32,
        headers: Vec<u8>,
    },
    Data {
        stream: u32,
        fin: bool,
        data: Vec<u8>,
    },
    /// The client gives a stream up.
    Reset {
        stream: u32,
    },
    Ping {
        id: u32,
    },
    /// The client opens no more streams.
    GoAway,
    /// What needs no answer.
    Other,
}

/// The bytes are no frames of this protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// Takes the first whole frame off the front of the bytes; `None` when more bytes must come first.
pub fn take(bytes: &mut Vec<u8>) -> Result<Option<Frame>, Malformed> {
    let Some(head) = bytes.first_chunk::<8>() else {
        return Ok(None);
    };
    let first = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
    let flags = head[4];
    let length = usize::from(head[5]) << 16 | usize::from(head[6]) << 8 | usize::from(head[7]);
    if length > LONGEST {
        return Err(Malformed);
    }
    if bytes.len() < 8 + length {
        return Ok(None);
    }
    let rest = bytes.split_off(8 + length);
    let payload = std::mem::replace(bytes, rest).split_off(8);
    let fin = flags & FIN != 0;
    if first & 1 << 31 == 0 {
        return Ok(Some(Frame::Data {
            stream: first,
            fin,
            data: payload,
        }));
    }
    control(first, payload).map(Some)
}

fn control(first: u32, payload: Vec<u8>) -> Result<Frame, Malformed> {
    let [high, low, kind @ ..] = first.to_be_bytes();
    if u16::from_be_bytes([high & 0x7f, low]) != VERSION {
        return Err(Malformed);
    }
    let number = || {
        let bytes = payload.first_chunk::<4>().ok_or(Malformed)?;
        Ok(u32::from_be_bytes(*bytes) & 0x7fff_ffff)
    };
    Ok(match u16::from_be_bytes(kind) {
        1 => Frame::Open {
            stream: number()?,
            headers: payload.get(10..).ok_or(Malformed)?.to_vec(),
        },
        3 => Frame::Reset { stream: number()? },
        6 => Frame::Ping { id: number()? },
        7 => Frame::GoAway,
        _ => Frame::Other,
    })
}

/// Data of a stream.
pub fn data(stream: u32, flags: u8, data: &[u8]) -> Vec<u8> {
    frame(stream, flags, data)
}

/// The answer to a frame that opened a stream, with its headers, compressed.
pub fn reply(stream: u32, headers: &[u8]) -> Vec<u8> {
    let mut payload = stream.to_be_bytes().to_vec();
    payload.extend_from_slice(headers);
    frame(kind(SYN_REPLY), 0, &payload)
}

/// The answer to a ping.
pub fn pong(id: u32) -> Vec<u8> {
    frame(kind(PING), 0, &id.to_be_bytes())
}

/// Ends a stream at once.
pub fn reset(stream: u32, status: u32) -> Vec<u8> {
    let payload = [stream.to_be_bytes(), status.to_be_bytes()].concat();
    frame(kind(RST_STREAM), 0, &payload)
}

fn kind(kind: u16) -> u32 {
    1 << 31 | u32::from(VERSION) << 16 | u32::from(kind)
}

fn frame(first: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    // What is written here is far below the sixteen megabytes that the field can say.
    let length = u32::try_from(payload.len()).unwrap_or(0).to_be_bytes();
    let mut bytes = Vec::with_capacity(8 + payload.len());
    bytes.extend_from_slice(&first.to_be_bytes());
    bytes.push(flags);
    bytes.extend_from_slice(&length[1..]);
    bytes.extend_from_slice(payload);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_out_whole_wherever_the_bytes_are_cut() {
        let mut all = data(3, FIN, b"abc");
        all.extend(pong(5));
        all.extend(reset(3, REFUSED));
        let mut bytes = Vec::new();
        let mut frames = Vec::new();
        for byte in all {
            bytes.push(byte);
            frames.extend(take(&mut bytes).unwrap());
        }
        let expected = [
            Frame::Data {
                stream: 3,
                fin: true,
                data: b"abc".to_vec(),
            },
            Frame::Ping { id: 5 },
            Frame::Reset { stream: 3 },
        ];
        assert_eq!(frames, expected);
        assert!(bytes.is_empty());
    }

    #[test]
    fn other_protocols_are_refused() {
        assert_eq!(take(&mut b"GET / HTTP/1.1\r\n".to_vec()), Err(Malformed));
        assert_eq!(take(&mut vec![0x80, 2, 0, 1, 0, 0, 0, 0]), Err(Malformed));
    }
}
