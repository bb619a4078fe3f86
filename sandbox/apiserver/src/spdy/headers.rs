//! The headers of frames: names and values with their lengths, compressed with a dictionary that both sides know.

use std::collections::BTreeMap;

use super::inflate::Inflate;

/// The strings that the dictionary begins with, each after its length.
const WORDS: &str = "options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges \
     age allow authorization cache-control connection content-base content-encoding content-language content-length \
     content-location content-md5 content-range content-type date etag expect expires from host if-match \
     if-modified-since if-none-match if-range if-unmodified-since last-modified location max-forwards pragma \
     proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade \
     user-agent vary via warning www-authenticate method get status";

/// More of them; the first one has a blank in it.
const MORE: [&str; 8] = [
    "200 OK",
    "version",
    "HTTP/1.1",
    "url",
    "public",
    "set-cookie",
    "keep-alive",
    "origin",
];

/// What follows them.
const TAIL: &str = "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505\
203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden\
404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable\
Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT\
chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,text/javascript,\
publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0.";

/// How a compressed stream with that dictionary begins: method, flags, and the dictionary's checksum.
const PRELUDE: [u8; 6] = [0x78, 0xbb, 0xe3, 0xc6, 0xa7, 0xc2];

/// No headers, stored as they are, and a flush.
const NONE: [u8; 14] = [0, 4, 0, 0xfb, 0xff, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

/// Headers by name.
pub type Headers = BTreeMap<String, String>;

/// The client's headers, frame after frame.
pub struct Reader {
    inflate: Inflate,
    begun: bool,
}

/// Our headers, of which there are none.
#[derive(Default)]
pub struct Writer {
    begun: bool,
}

// === impl Reader ===

impl Reader {
    /// Before the first frame.
    pub fn new() -> Self {
        Self {
            inflate: Inflate::new(&dictionary()),
            begun: false,
        }
    }

    /// The headers of the next frame; `None` when they cannot be read, after which no later ones can.
    pub fn read(&mut self, mut compressed: &[u8]) -> Option<Headers> {
        if !self.begun {
            // Level and check bits differ between compressors; method, dictionary flag and checksum do not.
            let (prelude, rest) = compressed.split_first_chunk::<6>()?;
            if prelude[0] & 0x0f != 8 || prelude[1] & 0x20 == 0 || prelude[2..] != PRELUDE[2..] {
                return None;
            }
            compressed = rest;
            self.begun = true;
        }
        let block = self.inflate.piece(compressed).ok()?;
        parse(&block)
    }
}

fn parse(mut block: &[u8]) -> Option<Headers> {
    let number = |block: &mut &[u8]| {
        let (bytes, rest) = block.split_first_chunk::<4>()?;
        *block = rest;
        usize::try_from(u32::from_be_bytes(*bytes)).ok()
    };
    let mut headers = Headers::new();
    let count = number(&mut block)?;
    for _ in 0..count {
        let mut text = || {
            let length = number(&mut block)?;
            let (text, rest) = block.split_at_checked(length)?;
            block = rest;
            Some(String::from_utf8_lossy(text).into_owned())
        };
        let (name, value) = (text()?, text()?);
        headers.insert(name.to_ascii_lowercase(), value);
    }
    Some(headers)
}

// === impl Writer ===

impl Writer {
    /// The headers of the next frame.
    pub fn none(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        if !std::mem::replace(&mut self.begun, true) {
            bytes.extend(PRELUDE);
        }
        bytes.extend(NONE);
        bytes
    }
}

fn dictionary() -> Vec<u8> {
    let mut bytes = Vec::new();
    for word in WORDS.split_whitespace().chain(MORE) {
        let length = u32::try_from(word.len()).unwrap_or(0);
        bytes.extend(length.to_be_bytes());
        bytes.extend(word.as_bytes());
    }
    bytes.extend(TAIL.as_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dictionary_is_the_one_whose_checksum_is_sent() {
        let (mut low, mut high) = (1_u32, 0_u32);
        for byte in dictionary() {
            low = (low + u32::from(byte)) % 65521;
            high = (high + low) % 65521;
        }
        assert_eq!((high << 16 | low).to_be_bytes(), PRELUDE[2..]);
    }

    #[test]
    fn what_is_written_can_be_read() {
        let (mut writer, mut reader) = (Writer::default(), Reader::new());
        for _ in 0..2 {
            assert_eq!(reader.read(&writer.none()), Some(Headers::new()));
        }
        assert_eq!(Reader::new().read(b"no prelude"), None);
    }

    #[test]
    fn lengths_that_lie_are_refused() {
        assert_eq!(parse(&[0, 0, 0, 1, 0, 0, 0, 9, b'x']), None);
        assert_eq!(parse(&[255, 255, 255, 255]), None);
    }
}
