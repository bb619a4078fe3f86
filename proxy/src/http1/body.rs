//! Bodies: what has come in is checked against its framing, and framed again for where it goes.

use std::ops::Range;

use super::head::Framing;
use super::refusal::Refusal;

/// Longest line of a chunk's size with its extensions.
const MAX_SIZE_LINE: u16 = 1024;

/// Longest trailer section.
const MAX_TRAILERS: u16 = 16 << 10;

/// Reads a body part by part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyDecoder {
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Done,
    Length(u64),
    UntilClose,
    /// In the digits of a chunk's size, of which there were so many.
    Size {
        size: u64,
        digits: u8,
    },
    /// In the extensions behind it.
    Extension {
        size: u64,
        line: u16,
    },
    /// Behind the carriage return of the size's line.
    SizeEnd {
        size: u64,
    },
    Data {
        left: u64,
    },
    /// Behind a chunk's data.
    DataCr,
    DataLf,
    /// At the start of a trailer line, or in it; `colon` tells whether its name has ended.
    TrailerStart {
        total: u16,
    },
    Trailer {
        total: u16,
        colon: bool,
    },
    TrailerLf {
        total: u16,
    },
    FinalLf,
}

/// One part of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// How many bytes were taken.
    pub consumed: usize,
    /// Which of them are data.
    pub data: Range<usize>,
}

/// Passes a body on, framed anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyPipe {
    decoder: BodyDecoder,
    chunked: bool,
    ended: bool,
    /// Bytes of data that have passed.
    pub passed: u64,
}

const BAD_CHUNK: Refusal = Refusal::bad("http1.invalid_chunk");

// === impl BodyDecoder ===

impl BodyDecoder {
    /// For a body that is so long.
    pub fn new(framing: Framing) -> Self {
        Self {
            state: match framing {
                Framing::None | Framing::Length(0) => State::Done,
                Framing::Length(length) => State::Length(length),
                Framing::UntilClose => State::UntilClose,
                Framing::Chunked => State::Size { size: 0, digits: 0 },
            },
        }
    }

    /// Whether the body has ended.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// The connection has ended. True if the body may end like that.
    pub fn finish(&mut self) -> bool {
        if self.state == State::UntilClose {
            self.state = State::Done;
        }
        self.is_done()
    }

    /// Takes bytes up to the end of the next stretch of data, or of the body.
    ///
    /// # Errors
    /// When the bytes are no chunks.
    pub fn decode(&mut self, input: &[u8]) -> Result<Part, Refusal> {
        let mut at = 0;
        loop {
            let rest = input.get(at..).unwrap_or_default();
            if let State::Length(left) | State::Data { left } = &mut self.state {
                let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                *left -= taken as u64;
                if *left == 0 {
                    self.state = match self.state {
                        State::Data { .. } => State::DataCr,
                        _ => State::Done,
                    };
                }
                return Ok(part(at, at + taken));
            }
            if self.state == State::UntilClose {
                return Ok(part(at, input.len()));
            }
            match rest.first() {
                Some(byte) if !self.is_done() => self.state = self.state.next(*byte)?,
                _ => return Ok(part(at, at)),
            }
            at += 1;
        }
    }
}

fn part(from: usize, to: usize) -> Part {
    Part {
        consumed: to,
        data: from..to,
    }
}

// === impl State ===

impl State {
    /// The state after one byte of the chunks' frame.
    fn next(self, byte: u8) -> Result<Self, Refusal> {
        Ok(match (self, byte) {
            (Self::Size { size, digits }, byte) if byte.is_ascii_hexdigit() => {
                // 15 digits are more than any body has.
                if digits >= 15 {
                    return Err(BAD_CHUNK);
                }
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                Self::Size {
                    size: size << 4 | u64::from(digit),
                    digits: digits + 1,
                }
            }
            (Self::Size { size, digits: 1.. }, b'\r') => Self::SizeEnd { size },
            (Self::Size { size, digits: 1.. }, b';' | b' ' | b'\t') => {
                Self::Extension { size, line: 0 }
            }
            (Self::Extension { size, .. }, b'\r') => Self::SizeEnd { size },
            (Self::Extension { size, line }, byte) if is_text(byte) && line < MAX_SIZE_LINE => {
                Self::Extension {
                    size,
                    line: line + 1,
                }
            }
            (Self::SizeEnd { size: 0 }, b'\n') => Self::TrailerStart { total: 0 },
            (Self::SizeEnd { size }, b'\n') => Self::Data { left: size },
            (Self::DataCr, b'\r') => Self::DataLf,
            (Self::DataLf, b'\n') => Self::Size { size: 0, digits: 0 },
            (Self::TrailerStart { .. }, b'\r') => Self::FinalLf,
            (Self::TrailerStart { total }, byte) if is_token(byte) => Self::Trailer {
                total,
                colon: false,
            },
            (
                Self::Trailer {
                    total,
                    colon: false,
                },
                b':',
            ) => Self::Trailer { total, colon: true },
            (
                Self::Trailer {
                    total,
                    colon: false,
                },
                byte,
            ) if is_token(byte) && total < MAX_TRAILERS => Self::Trailer {
                total: total + 1,
                colon: false,
            },
            (Self::Trailer { total, colon: true }, b'\r') => Self::TrailerLf { total },
            (Self::Trailer { total, colon: true }, byte)
                if is_text(byte) && total < MAX_TRAILERS =>
            {
                Self::Trailer {
                    total: total + 1,
                    colon: true,
                }
            }
            (Self::TrailerLf { total }, b'\n') => Self::TrailerStart { total },
            (Self::FinalLf, b'\n') => Self::Done,
            _ => return Err(BAD_CHUNK),
        })
    }
}

fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

// === impl BodyPipe ===

impl BodyPipe {
    /// From a framing to chunks, or to nothing but the data.
    pub fn new(framing: Framing, chunked: bool) -> Self {
        let decoder = BodyDecoder::new(framing);
        Self {
            decoder,
            chunked,
            ended: decoder.is_done() && !chunked,
            passed: 0,
        }
    }

    /// Whether all has been passed on.
    pub fn is_done(&self) -> bool {
        self.ended
    }

    /// Appends what is data in the input to `out`, and says how much of the input was taken: all of it, unless the body has ended.
    ///
    /// # Errors
    /// When the input is no body of its framing.
    pub fn pump(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, Refusal> {
        let start = out.len();
        let width = if self.chunked {
            hex_digits(input.len())
        } else {
            0
        };
        if self.chunked {
            out.resize(start + width, b'0');
            out.extend_from_slice(b"\r\n");
        }
        let before = out.len();
        let mut taken = 0;
        let outcome = loop {
            let rest = input.get(taken..).unwrap_or_default();
            if rest.is_empty() || self.decoder.is_done() {
                break Ok(taken);
            }
            match self.decoder.decode(rest) {
                Ok(Part { consumed, data }) => {
                    out.extend_from_slice(rest.get(data).unwrap_or_default());
                    taken += consumed;
                }
                Err(refusal) => break Err(refusal),
            }
        };
        let data = out.len() - before;
        self.passed += data as u64;
        if self.chunked {
            self.close_chunk(start, width, data, out);
        }
        if self.decoder.is_done() {
            self.end(out);
        }
        outcome
    }

    /// The connection has ended. True if the body may end like that; what is left to send is appended.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> bool {
        let complete = self.decoder.finish();
        if complete {
            self.end(out);
        }
        complete
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        if self.chunked && !self.ended {
            out.extend_from_slice(b"0\r\n\r\n");
        }
        self.ended = true;
    }

    /// Writes the size of a chunk where room was left for it; without data there is no chunk.
    fn close_chunk(&self, start: usize, width: usize, data: usize, out: &mut Vec<u8>) {
        if data == 0 {
            out.truncate(start);
            return;
        }
        let digits = out.get_mut(start..start + width).unwrap_or_default();
        let mut left = data;
        for digit in digits.iter_mut().rev() {
            *digit = char::from_digit((left & 15) as u32, 16).map_or(b'0', |digit| digit as u8);
            left >>= 4;
        }
        out.extend_from_slice(b"\r\n");
    }
}

fn hex_digits(number: usize) -> usize {
    (usize::BITS - number.leading_zeros()).div_ceil(4).max(1) as usize
}
