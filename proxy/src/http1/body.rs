//! Bodies: what has come in is checked against its framing, and framed again for where it goes.

use std::ops::Range;

use bytes::Bytes;

use super::fields::Fields;
use super::head::Framing;
use super::refusal::Refusal;
use super::trailers::{MAX_TRAILERS, Trailers};
use super::write::write_field;

/// Longest line of a chunk's size with its extensions.
const MAX_SIZE_LINE: u16 = 1024;

/// Reads a body part by part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BodyDecoder {
    state: State,
    /// Bytes of data that have passed.
    passed: u64,
    /// The lines behind the body that have come in so far.
    section: Vec<u8>,
    trailers: Trailers,
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
    TrailerStart,
    Trailer {
        colon: bool,
    },
    TrailerLf,
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

/// Where the data of a body goes.
pub trait BodySink {
    /// Data follows: at most so many bytes until [`Self::pause`].
    fn begin(&mut self, most: usize);
    /// Takes data.
    fn data(&mut self, bytes: &[u8]);
    /// Takes data that nobody else holds.
    fn chunk(&mut self, bytes: Bytes) {
        self.data(&bytes);
    }
    /// That was all for now.
    fn pause(&mut self);
    /// That was all, but for the fields behind it. Told once or more often; the first time counts.
    fn end(&mut self, trailers: Fields<'_>);
}

/// Writes a body for HTTP/1.1: in chunks, or nothing but the data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BodyEncoder {
    chunked: bool,
    ended: bool,
}

/// A body that is written to the end of a buffer.
#[derive(Debug)]
pub struct EncodedBody<'a> {
    encoder: &'a mut BodyEncoder,
    out: &'a mut Vec<u8>,
    /// Where the chunk begins that is being written, and how wide its size is.
    start: usize,
    width: usize,
}

/// Takes a body that nobody wants.
#[derive(Clone, Copy, Debug, Default)]
pub struct Skipped;

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
            passed: 0,
            section: Vec::new(),
            trailers: Trailers::default(),
        }
    }

    /// The fields behind the body, once it has ended.
    pub fn trailers(&self) -> Fields<'_> {
        self.trailers.fields()
    }

    /// Bytes of data that have passed.
    pub fn passed(&self) -> u64 {
        self.passed
    }

    /// Whether the body has ended.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Hands on what is data in the input, and says how much of the input was taken: all of it, unless the body has ended.
    ///
    /// # Errors
    /// When the input is no body of its framing.
    #[inline]
    pub fn pump(&mut self, input: &[u8], sink: &mut impl BodySink) -> Result<usize, Refusal> {
        sink.begin(input.len());
        let mut taken = 0;
        let outcome = loop {
            let rest = input.get(taken..).unwrap_or_default();
            if rest.is_empty() || self.is_done() {
                break Ok(taken);
            }
            match self.decode(rest) {
                Ok(Part { consumed, data }) => {
                    self.passed += data.len() as u64;
                    sink.data(rest.get(data).unwrap_or_default());
                    taken += consumed;
                }
                Err(refusal) => break Err(refusal),
            }
        };
        sink.pause();
        if self.is_done() {
            sink.end(self.trailers());
        }
        outcome
    }

    /// The connection has ended. True if the body may end like that, which the sink is told then.
    pub fn finish(&mut self, sink: &mut impl BodySink) -> bool {
        if self.state == State::UntilClose {
            self.state = State::Done;
        }
        if self.is_done() {
            sink.end(self.trailers());
        }
        self.is_done()
    }

    /// Takes one byte of the frame.
    fn step(&mut self, byte: u8) -> Result<(), Refusal> {
        let before = self.state;
        self.state = before.next(byte)?;
        match (before, self.state) {
            (State::TrailerStart | State::Trailer { .. } | State::TrailerLf, next)
                if next != State::FinalLf =>
            {
                if self.section.len() >= MAX_TRAILERS {
                    return Err(BAD_CHUNK);
                }
                self.section.push(byte);
            }
            (State::FinalLf, _) if !self.section.is_empty() => {
                self.trailers.parse(&self.section)?;
                self.section = Vec::new();
            }
            _ => {}
        }
        Ok(())
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
                Some(byte) if !self.is_done() => self.step(*byte)?,
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
            (Self::SizeEnd { size: 0 }, b'\n') => Self::TrailerStart,
            (Self::SizeEnd { size }, b'\n') => Self::Data { left: size },
            (Self::DataCr, b'\r') => Self::DataLf,
            (Self::DataLf, b'\n') => Self::Size { size: 0, digits: 0 },
            (Self::TrailerStart, b'\r') => Self::FinalLf,
            (Self::TrailerStart, byte) if is_token(byte) => Self::Trailer { colon: false },
            (Self::Trailer { colon: false }, b':') => Self::Trailer { colon: true },
            (Self::Trailer { colon: false }, byte) if is_token(byte) => self,
            (Self::Trailer { colon: true }, b'\r') => Self::TrailerLf,
            (Self::Trailer { colon: true }, byte) if is_text(byte) => self,
            (Self::TrailerLf, b'\n') => Self::TrailerStart,
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

// === impl BodyEncoder ===

impl BodyEncoder {
    /// For chunks, or for nothing but the data.
    pub fn new(chunked: bool) -> Self {
        Self {
            chunked,
            ended: false,
        }
    }

    /// Whether the end has been written.
    pub fn is_done(&self) -> bool {
        self.ended
    }

    /// Appends to a buffer.
    #[inline]
    pub fn to<'a>(&'a mut self, out: &'a mut Vec<u8>) -> EncodedBody<'a> {
        EncodedBody {
            encoder: self,
            start: out.len(),
            width: 0,
            out,
        }
    }
}

// === impl EncodedBody ===

impl BodySink for EncodedBody<'_> {
    #[inline]
    fn begin(&mut self, most: usize) {
        self.start = self.out.len();
        if self.encoder.chunked {
            // Room for the size, which is known when all the data is there.
            self.width = hex_digits(most);
            self.out.resize(self.start + self.width, b'0');
            self.out.extend_from_slice(b"\r\n");
        }
    }

    #[inline]
    fn data(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    #[inline]
    fn pause(&mut self) {
        if self.encoder.chunked {
            self.close_chunk();
        }
    }

    fn end(&mut self, trailers: Fields<'_>) {
        if self.encoder.chunked && !self.encoder.ended {
            self.out.extend_from_slice(b"0\r\n");
            for (name, value) in trailers.iter() {
                write_field(self.out, name, value);
            }
            self.out.extend_from_slice(b"\r\n");
        }
        self.encoder.ended = true;
    }
}

impl EncodedBody<'_> {
    /// Writes the size of a chunk where room was left for it; without data there is no chunk.
    fn close_chunk(&mut self) {
        let before = self.start + self.width + 2;
        let mut left = self.out.len().saturating_sub(before);
        if left == 0 {
            self.out.truncate(self.start);
            return;
        }
        let digits = self.out.get_mut(self.start..self.start + self.width);
        for digit in digits.unwrap_or_default().iter_mut().rev() {
            *digit = char::from_digit((left & 15) as u32, 16).map_or(b'0', |digit| digit as u8);
            left >>= 4;
        }
        self.out.extend_from_slice(b"\r\n");
    }
}

impl BodySink for Skipped {
    fn begin(&mut self, _most: usize) {}

    fn data(&mut self, _bytes: &[u8]) {}

    fn pause(&mut self) {}

    fn end(&mut self, _trailers: Fields<'_>) {}
}

fn hex_digits(number: usize) -> usize {
    (usize::BITS - number.leading_zeros()).div_ceil(4).max(1) as usize
}
