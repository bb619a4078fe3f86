//! Deflate (RFC 1951), only as much as headers need: whole blocks at a time, over what the blocks before them said.
//!
//! Each piece ends at a byte's border, as a flushed compressor leaves it. What was decompressed before, and a dictionary
//! before all of it, is what later pieces refer to.

/// How far back a reference may reach.
const WINDOW: usize = 1 << 15;

/// More never comes out of one piece.
const LARGEST: usize = 1 << 16;

const LENGTHS: [(u16, u8); 29] = [
    (3, 0),
    (4, 0),
    (5, 0),
    (6, 0),
    (7, 0),
    (8, 0),
    (9, 0),
    (10, 0),
    (11, 1),
    (13, 1),
    (15, 1),
    (17, 1),
    (19, 2),
    (23, 2),
    (27, 2),
    (31, 2),
    (35, 3),
    (43, 3),
    (51, 3),
    (59, 3),
    (67, 4),
    (83, 4),
    (99, 4),
    (115, 4),
    (131, 5),
    (163, 5),
    (195, 5),
    (227, 5),
    (258, 0),
];
const DISTANCES: [(u16, u8); 30] = [
    (1, 0),
    (2, 0),
    (3, 0),
    (4, 0),
    (5, 1),
    (7, 1),
    (9, 2),
    (13, 2),
    (17, 3),
    (25, 3),
    (33, 4),
    (49, 4),
    (65, 5),
    (97, 5),
    (129, 6),
    (193, 6),
    (257, 7),
    (385, 7),
    (513, 8),
    (769, 8),
    (1025, 9),
    (1537, 9),
    (2049, 10),
    (3073, 10),
    (4097, 11),
    (6145, 11),
    (8193, 12),
    (12289, 12),
    (16385, 13),
    (24577, 13),
];
/// The order in which the lengths of the code for code lengths are given.
const ORDER: [usize; 19] = [
    16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
];

/// The bytes are not a piece of such a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

/// A stream that is decompressed piece by piece.
pub struct Inflate {
    history: Vec<u8>,
}

// === impl Inflate ===

impl Inflate {
    /// A stream that may refer to a dictionary.
    pub fn new(dictionary: &[u8]) -> Self {
        Self {
            history: dictionary.to_vec(),
        }
    }

    /// Decompresses the next piece.
    pub fn piece(&mut self, bytes: &[u8]) -> Result<Vec<u8>, Broken> {
        let start = self.history.len();
        let mut bits = Bits { bytes, at: 0 };
        while !bits.is_at_end() {
            let last = bits.take(1)? == 1;
            match bits.take(2)? {
                0 => self.stored(&mut bits)?,
                1 => self.coded(&mut bits, &Code::fixed(), &Code::new(&[5; 30])?, start)?,
                2 => {
                    let (lengths, distances) = codes(&mut bits)?;
                    self.coded(&mut bits, &lengths, &distances, start)?;
                }
                _ => return Err(Broken),
            }
            if last {
                break;
            }
        }
        let piece = self.history[start..].to_vec();
        let excess = self.history.len().saturating_sub(WINDOW);
        self.history.drain(..excess);
        Ok(piece)
    }

    fn stored(&mut self, bits: &mut Bits<'_>) -> Result<(), Broken> {
        bits.align();
        let length = bits.take(16)?;
        if bits.take(16)? != length ^ 0xffff {
            return Err(Broken);
        }
        for _ in 0..length {
            let byte = bits.take(8)?;
            self.history.push(u8::try_from(byte).map_err(|_| Broken)?);
        }
        Ok(())
    }

    fn coded(
        &mut self,
        bits: &mut Bits<'_>,
        lengths: &Code,
        distances: &Code,
        start: usize,
    ) -> Result<(), Broken> {
        loop {
            let symbol = lengths.next(bits)?;
            match symbol {
                256 => return Ok(()),
                0..256 => self.history.push(u8::try_from(symbol).map_err(|_| Broken)?),
                _ => {
                    let (base, extra) = *LENGTHS.get(symbol - 257).ok_or(Broken)?;
                    let length = usize::from(base) + bits.take(extra)?;
                    let (base, extra) = *DISTANCES.get(distances.next(bits)?).ok_or(Broken)?;
                    let distance = usize::from(base) + bits.take(extra)?;
                    let from = self.history.len().checked_sub(distance).ok_or(Broken)?;
                    // One by one: a reference may reach into what it makes itself.
                    for at in from..from + length {
                        self.history.push(self.history[at]);
                    }
                }
            }
            if self.history.len() - start > LARGEST {
                return Err(Broken);
            }
        }
    }
}

/// The codes that a block describes itself.
fn codes(bits: &mut Bits<'_>) -> Result<(Code, Code), Broken> {
    let literals = bits.take(5)? + 257;
    let distances = bits.take(5)? + 1;
    let given = bits.take(4)? + 4;
    let mut order = [0; 19];
    for place in ORDER.iter().take(given) {
        order[*place] = u8::try_from(bits.take(3)?).map_err(|_| Broken)?;
    }
    let code = Code::new(&order)?;
    let mut lengths: Vec<u8> = Vec::new();
    while lengths.len() < literals + distances {
        let (value, times) = match code.next(bits)? {
            16 => (*lengths.last().ok_or(Broken)?, bits.take(2)? + 3),
            17 => (0, bits.take(3)? + 3),
            18 => (0, bits.take(7)? + 11),
            length => (u8::try_from(length).map_err(|_| Broken)?, 1),
        };
        lengths.extend(std::iter::repeat_n(value, times));
    }
    if lengths.len() != literals + distances {
        return Err(Broken);
    }
    Ok((
        Code::new(&lengths[..literals])?,
        Code::new(&lengths[literals..])?,
    ))
}

/// A prefix code: how many codes there are of each length, and their symbols in order.
struct Code {
    counts: [u16; 16],
    symbols: Vec<usize>,
}

// === impl Code ===

impl Code {
    /// The code by the lengths of its symbols.
    fn new(lengths: &[u8]) -> Result<Self, Broken> {
        let mut counts = [0_u16; 16];
        for length in lengths {
            *counts.get_mut(usize::from(*length)).ok_or(Broken)? += 1;
        }
        counts[0] = 0;
        let mut symbols: Vec<usize> = (0..lengths.len())
            .filter(|symbol| lengths[*symbol] > 0)
            .collect();
        symbols.sort_by_key(|symbol| lengths[*symbol]);
        Ok(Self { counts, symbols })
    }

    /// The code of blocks that describe none.
    fn fixed() -> Self {
        let mut counts = [0; 16];
        (counts[7], counts[8], counts[9]) = (24, 152, 112);
        let symbols = (256..280).chain(0..144).chain(280..288).chain(144..256);
        Self {
            counts,
            symbols: symbols.collect(),
        }
    }

    /// The next symbol.
    fn next(&self, bits: &mut Bits<'_>) -> Result<usize, Broken> {
        let (mut code, mut first, mut index) = (0_usize, 0_usize, 0_usize);
        for count in &self.counts[1..] {
            let count = usize::from(*count);
            code |= bits.take(1)?;
            if code < first + count {
                return self
                    .symbols
                    .get(index + code - first)
                    .copied()
                    .ok_or(Broken);
            }
            index += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        Err(Broken)
    }
}

/// Bits of bytes, the low ones first.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

// === impl Bits ===

impl Bits<'_> {
    fn take(&mut self, count: u8) -> Result<usize, Broken> {
        let mut value = 0;
        for position in 0..count {
            let byte = *self.bytes.get(self.at / 8).ok_or(Broken)?;
            value |= usize::from(byte >> (self.at % 8) & 1) << position;
            self.at += 1;
        }
        Ok(value)
    }

    fn align(&mut self) {
        self.at = self.at.div_ceil(8) * 8;
    }

    fn is_at_end(&self) -> bool {
        self.at.div_ceil(8) >= self.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two pieces of one stream, made by zlib at its highest level with the dictionary below and a flush after each.
    const PIECES: [&[u8]; 2] = [
        &[
            0x02, 0x13, 0x20, 0x5e, 0x09, 0x8a, 0xbc, 0x8e, 0x02, 0x0e, 0x09, 0x00, 0x00, 0x00,
            0x00, 0xff, 0xff,
        ],
        &[
            0x62, 0x60, 0x97, 0xb1, 0x2f, 0x58, 0xcf, 0x18, 0x73, 0xd4, 0xf1, 0x58, 0x1c, 0xcb,
            0xe6, 0x52, 0x57, 0x65, 0x7e, 0x4e, 0x41, 0x75, 0xef, 0xda, 0xbd, 0x02, 0x39, 0xd7,
            0x82, 0x6f, 0x16, 0x49, 0x9e, 0xec, 0x89, 0xb5, 0xd1, 0x54, 0xd1, 0x75, 0xc9, 0x9c,
            0x73, 0xd7, 0xb0, 0xef, 0x67, 0x39, 0xf3, 0x0c, 0x87, 0x8f, 0x5b, 0xdb, 0xd3, 0x43,
            0x03, 0xa3, 0x8b, 0x67, 0x9e, 0x15, 0x49, 0x39, 0x64, 0xbc, 0xd6, 0xea, 0x42, 0xa5,
            0xc1, 0x87, 0xc3, 0x4b, 0x26, 0x4f, 0x98, 0xbd, 0xe5, 0xb6, 0x68, 0xc4, 0x4a, 0xde,
            0xaa, 0xaf, 0xcd, 0xf2, 0x47, 0x6a, 0x9c, 0xc4, 0x3e, 0x3f, 0x7e, 0xf8, 0x96, 0xc7,
            0x24, 0x6b, 0x1d, 0x6b, 0xea, 0xe5, 0x90, 0x7b, 0xd5, 0x6a, 0xb7, 0x16, 0x96, 0x45,
            0x7a, 0x79, 0x86, 0x15, 0xce, 0xba, 0x28, 0x9d, 0x77, 0xde, 0xf9, 0x40, 0xc0, 0xcb,
            0xa9, 0xfe, 0xe2, 0x2f, 0xce, 0xec, 0xdb, 0x77, 0xe6, 0x85, 0xb8, 0xff, 0xd4, 0x97,
            0x01, 0x07, 0x9c, 0xcf, 0xe7, 0x49, 0x5f, 0x9c, 0x55, 0x18, 0xe6, 0xe9, 0x15, 0x59,
            0xb6, 0xf0, 0x96, 0x5a, 0xf5, 0xbd, 0x90, 0xcb, 0xa9, 0xac, 0xeb, 0xb2, 0x4c, 0x78,
            0xde, 0x3e, 0x7c, 0xfc, 0x59, 0xcc, 0xa9, 0xe6, 0x88, 0x7c, 0xf3, 0xd7, 0x2a, 0xde,
            0x95, 0x11, 0xa2, 0xb7, 0xb7, 0xcc, 0x9e, 0x30, 0x79, 0xc9, 0xe1, 0x0f, 0x06, 0x95,
            0x17, 0xac, 0xd6, 0x1a, 0x1f, 0x4a, 0x11, 0x39, 0x3b, 0xb3, 0x38, 0x3a, 0x30, 0x34,
            0xbd, 0x7d, 0xeb, 0x47, 0x87, 0x19, 0xcc, 0xe5, 0x3f, 0xfb, 0x0c, 0xef, 0xce, 0xc9,
            0x74, 0xd1, 0x55, 0xd1, 0xb4, 0x89, 0xed, 0x39, 0x29, 0x59, 0x74, 0x33, 0xf8, 0x5a,
            0x8e, 0xc0, 0xde, 0x5a, 0x6f, 0x75, 0x41, 0x4e, 0x7e, 0x65, 0xd7, 0xd2, 0xcd, 0x2c,
            0x71, 0xc7, 0x1c, 0x8f, 0xc6, 0x30, 0xae, 0x2f, 0xb0, 0x97, 0x61, 0x27, 0xd9, 0xeb,
            0x38, 0x82, 0x90, 0x34, 0x61, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff,
        ],
    ];

    #[test]
    fn pieces_refer_to_the_dictionary_and_to_one_another() {
        let mut inflate = Inflate::new(b"the dictionary of words");
        let first = inflate.piece(PIECES[0]).unwrap();
        assert_eq!(first, b"words of the dictionary, words of the dictionary");
        let mut expected: Vec<u8> = (0..300_u32)
            .map(|i| u8::try_from(i * i * 7 % 251).unwrap())
            .collect();
        expected.extend(b"words of the dictionary".repeat(3));
        assert_eq!(inflate.piece(PIECES[1]).unwrap(), expected);
    }

    #[test]
    fn what_is_broken_is_an_error() {
        for piece in PIECES {
            for cut in 1..piece.len() {
                // Whatever comes out, nothing panics and nothing runs on.
                let _ = Inflate::new(b"").piece(&piece[cut..]);
            }
        }
        assert_eq!(Inflate::new(b"").piece(&[7]), Err(Broken));
    }
}
